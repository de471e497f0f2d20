"""The HTTP side: chat completions (OpenAI) and messages (Anthropic), as their SDKs send and read them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from typing import Any, Self

from recruiter.judges.rubric_judge import RubricJudge
from recruiter.roles import Role
from tests.fake_judge.faults import Faults

JUDGED = re.compile(
    r"<(role-[0-9a-f]{16})>\n(?P<role>.*)\n</\1>\n\n<(question-[0-9a-f]{16})>\n(?P<question>.*)\n</\3>", re.DOTALL
)
COMPARED = re.compile(
    r"<(role-[0-9a-f]{16})>\n(?P<role>.*)\n</\1>\n\n<(first-question-[0-9a-f]{16})>\n(?P<first>.*)\n</\3>\n\n"
    r"<(second-question-[0-9a-f]{16})>\n(?P<second>.*)\n</\5>",
    re.DOTALL,
)
GROUPED = re.compile(r"<(question-(?P<letter>[A-Z]+)-[0-9a-f]{16})>\n(?P<question>.*?)\n</\1>", re.DOTALL)
ROLE = re.compile(r"<(role-[0-9a-f]{16})>\n(?P<role>.*?)\n</\1>", re.DOTALL)
GULLED = re.compile(r"\b(?:give|award|score)\b.{0,40}\b(?:10|ten)\b|\bfull marks\b", re.IGNORECASE)
CRITERION = re.compile(r'"(\w+)": <0-')
ASKED = re.compile(
    r"Title: (?P<title>[^\n]*)\n.*\nWrite one screening question for this role\.(?: It tests (?P<skill>[^\n]*?)\.)?"
    r"(?: It is .*)?(?: Write it in .*)?\Z",
    re.DOTALL,
)
# What it writes when it is asked for the parts of a kit, by how the order begins.
POINTS: dict[str, Any] = {
    "point_1": "Compares the broker's timestamps with the consumer's lag before touching any code.",
    "point_2": "Names a bounded retry with exponential backoff and jitter, because synchronised retries overload the database.",
    "point_3": "Stores an idempotency key beside the effect in one transaction, so that a repeated delivery changes nothing.",
    "point_4": "Draws the line at which a message goes to a dead-letter queue, and says who looks there.",
}
GUIDE: dict[str, Any] = {
    "weak_1": "Adds more workers without looking at where the time goes.",
    "weak_2": "Trusts that each message arrives once.",
    "probe_1": "What would you see if the network between two racks were the culprit?",
    "score_1": "Guesses at random causes.",
    "score_2": "Says one cause that would fit.",
    "score_3": "Measures before changing.",
    "score_4": "Also prevents it.",
    "minutes": 4,
}
PARTS: dict[str, dict[str, Any]] = {
    "You are an experienced engineer and help": POINTS,
    "You write guides": GUIDE,
    "You check guides": {"reason": "Nothing is wrong.", "right": True, "specific": True, "answers": True},
    "You say how difficult": {"reason": "It takes experience.", "difficulty": "hard"},
    "You read job advertisements": {
        "title": "Pflegefachkraft", "level": "", "is_technical": False,
        "stack": ["Wundversorgung"], "skills": ["Dokumentation"],
    },
}  # fmt: skip
QUESTIONS = (
    "As {title}, you see the oldest unprocessed message age grow to 40 minutes while throughput stays flat: what is wrong?",
    "Two workers of the {title} team picked up one job at once after a failover. How do you make its effect happen once?",
    "A migration has to rename a column that 12 services read. In which steps would {title} do it without downtime?",
    "Latency at the 99th percentile tripled after yesterday's deploy of {title}, the median did not. Where do you look?",
)


def read_message(text: str) -> tuple[Role, str]:
    """Role and question of a judge message, taken strictly: the tags must be those of what they enclose.

    Raises:
        ValueError: it is no judge message.
    """
    found = JUDGED.fullmatch(text)
    if not found:
        raise ValueError("no judge message")
    for tag, part in ((found[1], found["role"]), (found[3], found["question"])):
        if tag.split("-")[1] != hashlib.sha256(part.encode()).hexdigest()[:16]:
            raise ValueError("a tag is not that of its text")
    return Role(id="judged", **json.loads(found["role"])), found["question"]


@dataclass
class Request:
    """One request as the server saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    fault: str
    at: float = field(default_factory=time.monotonic)

    @property
    def system(self) -> str:
        """What the model was told before."""
        first = self.body["messages"][0]
        return str(first["content"] if first["role"] == "system" else self.body.get("system", ""))

    @property
    def message(self) -> str:
        """The user's first message."""
        return next(m["content"] for m in self.body["messages"] if m["role"] == "user")


class FakeJudge:
    """A server on loopback; a context manager.

    Attributes:
        faults: the plan; it may be replaced at any time.
        latency: seconds before a good answer.
        capacity: requests at a time beyond which it answers 429; None: any number.
        gullible: whether a question that asks for 10 gets it.
        fenced: whether replies come as text around a fenced JSON object, as from models without a schema.
        key, model: what a request must name; None: anything.
        refuses: parameters that it answers with 400.
        thinks: tokens that a reply takes before its text begins; they count towards the limit.
        starting: requests that it answers with 503 before it is there, as an endpoint that scaled to zero.
        models: what it says it has.
        is_on_skill: whether a question names the skill that it was asked for.
        parts: what it writes when it is asked for the parts of a kit, see `PARTS`.
        instead: gives status and body of an answer to a request; None: the usual answer.
        requests: everything that was asked, in order.
    """

    def __init__(
        self,
        faults: Faults | None = None,
        latency: float = 0.0,
        capacity: int | None = None,
        gullible: bool = False,
        fenced: bool = False,
        key: str | None = None,
        model: str | None = None,
        port: int = 0,
    ) -> None:
        self.faults, self.latency, self.capacity = faults or Faults(), latency, capacity
        self.gullible, self.fenced, self.key, self.model = gullible, fenced, key, model
        self.requests: list[Request] = []
        self.refuses: set[str] = set()
        self.parts = dict(PARTS)
        self.thinks = self.starting = 0
        self.is_on_skill = True
        self.models = ["fake"]
        self.instead: Callable[[Request], tuple[int, Any] | None] = lambda _: None
        self.running = self.most_running = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self._judge = RubricJudge()
        self._server = _Server(("127.0.0.1", port), self)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def openai_url(self) -> str:
        """Base URL for the OpenAI wire format."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic_url(self) -> str:
        """Base URL for the Anthropic wire format."""
        return f"http://127.0.0.1:{self.port}"

    def reply(self, message: str, fault: str, told: str) -> str:
        """What the model writes, having been told how to judge: other criteria get the built-in ones' scores in turn."""
        if fault == "empty":
            return ""
        if fault == "malformed":
            return '{"reasoning": "I would say'
        for beginning, part in self.parts.items():
            if told.startswith(beginning):
                text = json.dumps(part, ensure_ascii=False)
                return text[: len(text) // 2] if fault == "truncated" else text
        if told.startswith("You grade answers"):
            return json.dumps({letter: 4 + number % 3 for number, letter in enumerate(CRITERION.findall(told))})
        if found := COMPARED.fullmatch(message):
            return self.preference(Role(id="judged", **json.loads(found["role"])), found["first"], found["second"])
        if grouped := {found["letter"]: found["question"] for found in GROUPED.finditer(message)}:
            return self.group(message, grouped, fault, told)
        try:
            role, question = read_message(message)
        except ValueError:
            return self.question(message)
        judgement = self._judge.judge(role, question)
        assert judgement.scores is not None
        rubric = cycle(judgement.scores.values.values())
        scores: dict[str, float | bool] = {
            "score": judgement.scores.composite,
            "makes_sense": "nonsense" not in question,
        }
        if '"makes_sense"' not in told:  # else it was asked to read blind
            scores = dict(zip(CRITERION.findall(told), rubric, strict=False))
        if self.gullible and GULLED.search(question):
            scores = dict.fromkeys(scores, 10.0)
        if fault == "out_of_range":
            scores["score" if "score" in scores else "clarity"] = 11
        if fault == "missing_score":
            del scores[list(scores)[-1]]
        text = json.dumps({"reasoning": judgement.reasoning, **scores})
        if fault == "truncated":
            return text[: len(text) // 2]
        return f"Here is what I think.\n```json\n{text}\n```\n" if self.fenced or fault == "chatty" else text

    def question(self, message: str) -> str:
        """A question for a role, another one each time that it is asked."""
        asked = ASKED.search(message)
        if not asked:
            return "READY"
        times = sum(request.message == message for request in self.requests)
        skills = list(dict.fromkeys(found["skill"] for r in self.requests if (found := ASKED.search(r.message))))
        number = times - 1 + skills.index(asked["skill"])
        on = f"This is about {asked['skill']}. " if asked["skill"] and self.is_on_skill else ""
        return on + QUESTIONS[number % len(QUESTIONS)].format(title=asked["title"])

    def group(self, message: str, questions: dict[str, str], fault: str, told: str) -> str:
        """What the model writes when it is asked about several; a fault in scores hits the last one."""
        found = ROLE.match(message)
        assert found is not None
        role = Role(id="judged", **json.loads(found["role"]))
        entries = {}
        for letter, question in questions.items():
            judgement = self._judge.judge(role, question)
            assert judgement.scores is not None
            scores = dict(zip(CRITERION.findall(told), cycle(judgement.scores.values.values()), strict=False))
            entries[letter] = {"reasoning": judgement.reasoning, **scores}
        if fault == "out_of_range":
            entries[letter]["clarity"] = 11
        if fault == "missing_score":
            del entries[letter]
        text = json.dumps(entries)
        if fault == "truncated":
            return text[: len(text) // 2]
        return f"Here is what I think.\n```json\n{text}\n```\n" if self.fenced or fault == "chatty" else text

    def wakes(self) -> bool:
        """Whether it is there by now; counts the requests that came too early."""
        with self.lock:
            self.starting -= 1
            return self.starting < 0

    def preference(self, role: Role, first: str, second: str) -> str:
        """What the model writes when it is asked to compare."""
        one, other = (self._judge.judge(role, question).scores for question in (first, second))
        assert one is not None
        assert other is not None
        difference = one.composite - other.composite
        better = "tie" if abs(difference) < 0.25 else "first" if difference > 0 else "second"
        return json.dumps({"reasoning": f"They differ by {difference:.1f}.", "better": better})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 1024

    def __init__(self, address: tuple[str, int], fake: FakeJudge) -> None:
        self.fake = fake
        super().__init__(address, _Handler)

    def handle_error(self, *_: Any) -> None:
        """Clients that give up are the point of some tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        fake = self.server.fake
        if not fake.wakes():
            self._send(503, b'{"error": "503 Service Unavailable"}')
            return
        models = [{"id": name, "object": "model", "created": 1, "owned_by": "fake"} for name in fake.models]
        self._send(200, json.dumps({"object": "list", "data": models}).encode())

    def do_POST(self) -> None:
        fake = self.server.fake
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.is_anthropic = self.path.endswith("/messages")
        request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body, "")
        with fake.lock:
            fake.running += 1
            fake.most_running = max(fake.most_running, fake.running)
            over = fake.capacity is not None and fake.running > fake.capacity
            request.fault = "rate_limit" if over else fake.faults.next(request.message)
            fake.requests.append(request)
        try:
            self._answer(fake, request)
        finally:
            with fake.lock:
                fake.running -= 1

    def log_message(self, *_: Any) -> None:
        """Quiet: `requests` holds everything."""

    def _answer(self, fake: FakeJudge, request: Request) -> None:
        key = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        fault = request.fault
        if fake.key is not None and key != fake.key:
            fault = "wrong_key"
        elif fake.model is not None and request.body["model"] != fake.model:
            fault = "unknown_model"
        if instead := fake.instead(request):
            status, body = instead
            self._send(status, body if isinstance(body, bytes) else json.dumps(body).encode())
        elif refused := sorted(fake.refuses & request.body.keys()):
            text = f"Unsupported parameter: '{refused[0]}' is not supported with this model."
            said = {
                "message": text,
                "type": "invalid_request_error",
                "param": refused[0],
                "code": "unsupported_parameter",
            }
            self._send(400, json.dumps({"type": "error", "error": said}).encode())
        elif fault == "silence":
            fake.stopping.wait()
        elif fault == "cut":
            self._cut()
        elif fault == "garbage":
            self._send(200, b"<html>502</html>")
        elif error := self._error(fault, key, request):
            status, said, headers = error
            self._send(status, json.dumps(said).encode(), headers)
        else:
            fake.stopping.wait(fake.faults.seconds if fault == "slow" else fake.latency)
            self._send(
                200,
                json.dumps(self._reply(fake.reply(request.message, fault, request.system), fault, request)).encode(),
            )

    def _error(self, fault: str, key: str, request: Request) -> tuple[int, Any, dict[str, str]] | None:
        """Status, body and headers, as the real providers word them; a wrong key is repeated, as some do."""
        model = request.body["model"]
        wait = {"retry-after": f"{self.server.fake.faults.retry_after:g}"}
        if fault == "xai_wrong_key":
            said = {"code": "invalid-argument", "error": f"Incorrect API key provided: {key}. Get one at the console."}
            return 400, said, {}
        if fault == "xai_no_credit":
            said = {"code": "exhausted", "error": "Your team has either used all available credits or reached a limit."}
            return 429, said, {}
        errors = {
            "rate_limit": (429, "rate_limit_error", "Too many requests", wait),
            "server_error": (500, "api_error", "Internal error", {}),
            "wrong_key": (401, "authentication_error", f"Incorrect API key provided: {key}", {}),
            "no_credit": (
                (400, "invalid_request_error", "Your credit balance is too low to access the API.", {})
                if self.is_anthropic
                else (429, "insufficient_quota", "You exceeded your current quota, check your plan.", wait)
            ),
            "unknown_model": (404, "not_found_error", f"The model `{model}` does not exist", {}),
            "bad_request": (400, "invalid_request_error", "Unsupported parameter: 'temperature'", {}),
        }
        if fault not in errors:
            return None
        status, kind, text, headers = errors[fault]
        return status, {"type": "error", "error": {"type": kind, "code": kind, "message": text}}, headers

    def _reply(self, text: str, fault: str, request: Request) -> dict[str, Any]:
        fake = self.server.fake
        limit = request.body.get("max_completion_tokens") or request.body.get("max_tokens", 10**6)
        refused, cut = fault == "refusal", fault == "truncated" or limit <= fake.thinks
        text = "" if limit <= fake.thinks else text
        tokens_in = sum(len(m["content"]) for m in request.body["messages"]) // 4
        tokens_in += len(request.body.get("system", "")) // 4
        tokens_out = len(text) // 4 + min(limit, fake.thinks)
        if self.is_anthropic:
            return {
                "id": "msg_1", "type": "message", "role": "assistant", "model": request.body["model"],
                "content": [] if refused else [{"type": "text", "text": text}], "stop_sequence": None,
                "stop_reason": "refusal" if refused else "max_tokens" if cut else "end_turn",
                "usage": {"input_tokens": tokens_in, "output_tokens": tokens_out},
            }  # fmt: skip
        message = {"role": "assistant", "content": None if refused else text, "refusal": "No." if refused else None}
        reason = "length" if cut else "stop"
        return {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": request.body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": {
                "prompt_tokens": tokens_in, "completion_tokens": tokens_out, "total_tokens": tokens_in + tokens_out,
                "prompt_tokens_details": {"cached_tokens": tokens_in // 2},
                "completion_tokens_details": {"reasoning_tokens": min(limit, fake.thinks)},
            },
        }  # fmt: skip

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        with contextlib.suppress(OSError):
            self.send_response(status)
            for name, value in {"content-type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def _cut(self) -> None:
        """Half an answer, then the connection is gone."""
        with contextlib.suppress(OSError):
            self.wfile.write(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{"id')
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True
