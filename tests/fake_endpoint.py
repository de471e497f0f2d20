"""A local inference endpoint: the HTTP of a vLLM server behind a proxy that starts it on demand."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_good"
QUESTION = "How would you keep the cache consistent after a failover?"


class FakeEndpoint:
    """Answers `cold` requests with `cold_status` before it is up. `state`: running, paused, broken, mute."""

    def __init__(self, cold: int = 0, cold_status: int = 503, state: str = "running") -> None:
        self.cold, self.cold_status, self.state = cold, cold_status, state
        self.bodies: list[dict[str, Any]] = []
        endpoint = self

        class Handler(_Handler):
            fake = endpoint

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake: FakeEndpoint

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer({"/health": {}, "/v1/models": {"data": [{"id": "question-writer"}]}}.get(self.path))

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.fake.bodies.append(body)
        text = "<think>Hm, a role" if self.fake.state == "mute" else QUESTION
        message = {"role": "assistant", "content": text}
        answer = {"choices": [{"message": message}], "usage": {"completion_tokens": 12}}
        broken = {"generated_text": QUESTION}
        self._answer(
            (broken if self.fake.state == "broken" else answer) if self.path == "/v1/chat/completions" else None
        )

    def _answer(self, data: Any) -> None:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._reply(401, {"error": "Unauthorized"})
        if self.fake.state == "paused":
            return self._reply(400, {"error": "Bad Request: Endpoint is paused, ask a maintainer to restart it"})
        if self.fake.cold:
            self.fake.cold -= 1
            return self._reply(self.fake.cold_status, {"error": "503 Service Unavailable"})
        return self._reply(404, {"error": "Not Found"}) if data is None else self._reply(200, data)

    def _reply(self, status: int, data: Any) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
