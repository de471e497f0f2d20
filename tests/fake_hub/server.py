"""The parts of the Hub that huggingface_hub calls to publish, download and deploy a model. State is in memory.

Faults: `fail(method, path pattern, status, times)` answers so before the request is handled; `cut` ends the next download
of a large file after that many bytes, as a lost connection does; `stall_after` falls silent there instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import huggingface_hub
import pytest

TOKEN = "hf_good"
LFS_SUFFIXES = (".safetensors", ".png")


class FakeHub:
    """A Hub at `url` with repositories `repos`: name -> {private, files, commits}."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, Any]] = {}
        self.lfs: dict[str, bytes] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.states = ["pending", "initializing", "running"]
        self.requests: list[tuple[str, str]] = []
        self.bytes_sent = 0
        self.cut: int | None = None
        self.stall_after: int | None = None
        self.stalled, self.go_on = threading.Event(), threading.Event()
        self._faults: list[tuple[str, str, int, str]] = []
        hub = self

        class Handler(_Handler):
            fake = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that are killed
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def connect(self, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
        """Let huggingface_hub in this process speak to this server: Xet off, no waiting between attempts."""
        constants = huggingface_hub.constants
        monkeypatch.setattr(constants, "ENDPOINT", self.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", self.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "INFERENCE_ENDPOINTS_ENDPOINT", self.url + "/v2")
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr(time, "sleep", lambda _: None)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def fail(self, method: str, path: str, status: int, times: int = 1, message: str = "no") -> None:
        self._faults += [(method, path, status, message)] * times

    def fault(self, method: str, path: str) -> tuple[int, str] | None:
        for fault in self._faults:
            if fault[0] == method and re.search(fault[1], path):
                self._faults.remove(fault)
                return fault[2], fault[3]
        return None

    def add(self, repo: str, files: dict[str, bytes], private: bool = False) -> str:
        """Put a commit into a repository; returns its id."""
        entry = self.repos.setdefault(repo, {"private": private, "files": {}, "commits": []})
        entry["files"] = {**entry["files"], **files}
        text = json.dumps([repo, len(entry["commits"]), sorted(entry["files"])])
        entry["commits"].append(hashlib.sha1(text.encode()).hexdigest())
        return entry["commits"][-1]

    def count(self, method: str, path: str) -> int:
        return sum(request[0] == method and bool(re.search(path, request[1])) for request in self.requests)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._dispatch("GET")

    def do_HEAD(self) -> None:
        self._dispatch("HEAD")

    def do_POST(self) -> None:
        self._dispatch("POST")

    def do_PUT(self) -> None:
        self._dispatch("PUT")

    def do_DELETE(self) -> None:
        self._dispatch("DELETE")

    def _dispatch(self, method: str) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fake.requests.append((method, path))
        if fault := self.fake.fault(method, path):
            return self._reply(fault[0], {"error": fault[1]})
        if self.headers.get("Authorization") not in (None, f"Bearer {TOKEN}"):
            return self._error(401, "Invalid credentials in Authorization header")
        for wanted, pattern, handle in _ROUTES:
            if wanted == method and (match := re.fullmatch(pattern, path)):
                return handle(self, match, query, body)
        return self._error(404, f"no route for {method} {path}")

    # ---- repositories ---------------------------------------------------------------------------------------------

    def whoami(self, *_: Any) -> None:
        if self.headers.get("Authorization") is None:
            return self._error(401, "Invalid username or password.")
        return self._reply(200, {"type": "user", "name": "user"})

    def create(self, _match: Any, _query: Any, body: bytes) -> None:
        data = json.loads(body)
        repo = f"{data.get('organization') or 'user'}/{data['name']}"
        if not repo.startswith("user/"):
            return self._error(403, "You don't have the rights to create a model under this namespace")
        if repo in self.fake.repos:
            return self._reply(409, {"error": "You already created this model repo", "url": f"{self.fake.url}/{repo}"})
        self.fake.add(repo, {".gitattributes": b"*.safetensors filter=lfs\n"}, data.get("visibility") == "private")
        return self._reply(200, {"url": f"{self.fake.url}/{repo}", "name": repo})

    def info(self, match: re.Match[str], query: Any, _body: bytes) -> None:
        entry = self._repo(match)
        if entry is None:
            return
        siblings = []
        for name, content in entry["files"].items():
            large = {"lfs": _lfs(content)} if name.endswith(LFS_SUFFIXES) else {}
            siblings.append({"rfilename": name, "size": len(content), "blobId": _git_hash(content), **large})
        self._reply(
            200,
            {"id": match["repo"], "modelId": match["repo"], "sha": entry["commits"][-1], "private": entry["private"],
             "siblings": siblings, "tags": [], "downloads": 0, "likes": 0},
        )  # fmt: skip

    def tree(self, match: re.Match[str], *_: Any) -> None:
        entry = self._repo(match)
        if entry is not None:
            self._reply(200, [_tree_entry(name, content) for name, content in entry["files"].items()])

    def preupload(self, match: re.Match[str], _query: Any, body: bytes) -> None:
        entry = self._repo(match)
        if entry is None:
            return
        files = []
        for file in json.loads(body)["files"]:
            there = entry["files"].get(file["path"])
            large = file["path"].endswith(LFS_SUFFIXES)
            oid = None if there is None else (hashlib.sha256(there).hexdigest() if large else _git_hash(there))
            files.append(
                {"path": file["path"], "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}
            )
        self._reply(200, {"files": files})

    def batch(self, _match: Any, _query: Any, body: bytes) -> None:
        objects = []
        for item in json.loads(body)["objects"]:
            if item["oid"] not in self.fake.lfs:
                item["actions"] = {"upload": {"href": f"{self.fake.url}/lfs/{item['oid']}"}}
            objects.append(item)
        self._reply(200, {"transfer": "basic", "objects": objects})

    def store(self, match: re.Match[str], _query: Any, body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != match["oid"]:
            return self._error(400, "the checksum differs")
        self.fake.lfs[match["oid"]] = body
        return self._reply(200, {})

    def commit(self, match: re.Match[str], _query: Any, body: bytes) -> None:
        entry = self._repo(match)
        if entry is None:
            return
        files = dict(entry["files"])
        for line in filter(None, body.split(b"\n")):
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.fake.lfs[value["oid"]]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        entry["files"] = files
        oid = self.fake.add(match["repo"], {})
        url = f"{self.fake.url}/{match['repo']}/commit/{oid}"
        self._reply(200, {"success": True, "commitOid": oid, "commitUrl": url, "pullRequestUrl": None})

    def resolve(self, match: re.Match[str], _query: Any, _body: bytes) -> None:
        entry = self._repo(match)
        if entry is None:
            return None
        content = entry["files"].get(match["file"])
        if content is None:
            return self._error(404, "Entry not found", "EntryNotFound")
        large = match["file"].endswith(LFS_SUFFIXES)
        etag = hashlib.sha256(content).hexdigest() if large else _git_hash(content)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
        part = content[start:]
        self.send_response(206 if start else 200)
        for key, value in (
            ("X-Repo-Commit", entry["commits"][-1]), ("ETag", f'"{etag}"'), ("Accept-Ranges", "bytes"),
            ("Content-Length", str(len(part))), ("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"),
        ):  # fmt: skip
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        if self.fake.cut is not None and large:
            part, self.fake.cut, self.close_connection = part[: self.fake.cut], None, True
        if self.fake.stall_after is not None and large:
            part, self.close_connection = part[: self.fake.stall_after], True
        self.wfile.write(part)
        self.fake.bytes_sent += len(part)
        if self.fake.stall_after is not None and large:
            self.wfile.flush()
            self.fake.stalled.set()
            self.fake.go_on.wait(30)
        return None

    # ---- inference endpoints --------------------------------------------------------------------------------------

    def make_endpoint(self, match: re.Match[str], _query: Any, body: bytes) -> None:
        data = json.loads(body)
        key = f"{match['space']}/{data['name']}"
        if key in self.fake.endpoints:
            return self._error(409, "name already in use")
        self.fake.endpoints[key] = {"asked": data, "states": list(self.fake.states)}
        return self._endpoint(key)

    def get_endpoint(self, match: re.Match[str], *_: Any) -> None:
        self._endpoint(f"{match['space']}/{match['name']}")

    def delete_endpoint(self, match: re.Match[str], *_: Any) -> None:
        key = f"{match['space']}/{match['name']}"
        if self.fake.endpoints.pop(key, None) is None:
            return self._error(404, "Endpoint not found")
        return self._reply(202, {})

    def _endpoint(self, key: str) -> None:
        entry = self.fake.endpoints.get(key)
        if entry is None:
            self._error(404, "Endpoint not found")
            return
        state = entry["states"].pop(0) if len(entry["states"]) > 1 else entry["states"][0]
        asked, url = entry["asked"], {"url": self.fake.url} if state == "running" else {}
        times = {"createdAt": "2026-11-26T12:00:00.000Z", "updatedAt": "2026-11-26T12:00:00.000Z"}
        status = {"state": state, "message": "CUDA out of memory" if state == "failed" else "", **times, **url}
        self._reply(
            200,
            {"name": asked["name"], "type": asked["type"], "provider": asked["provider"], "compute": asked["compute"],
             "model": {**asked["model"], "revision": "main"}, "status": status, "healthRoute": "/health"},
        )  # fmt: skip

    # ---- replies --------------------------------------------------------------------------------------------------

    def _repo(self, match: re.Match[str]) -> dict[str, Any] | None:
        entry = self.fake.repos.get(match["repo"])
        if entry is None or (entry["private"] and self.headers.get("Authorization") is None):
            self._error(404, "Repository not found", "RepoNotFound")
            return None
        revision = match.groupdict().get("revision")
        if revision not in (None, "main", *entry["commits"]):
            self._error(404, "Revision not found", "RevisionNotFound")
            return None
        return entry

    def _error(self, status: int, message: str, code: str | None = None) -> None:
        self._reply(
            status, {"error": message}, {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        )

    def _reply(self, status: int, data: Any, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(data).encode()
        self.send_response(status)
        for key, value in {
            "Content-Type": "application/json",
            "Content-Length": str(len(content)),
            **(headers or {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def _lfs(content: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}


def _tree_entry(name: str, content: bytes) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": _git_hash(content)}
    if name.endswith(LFS_SUFFIXES):
        entry["lfs"] = {**_lfs(content), "oid": hashlib.sha256(content).hexdigest()}
    return entry


_REPO = r"(?P<repo>[^/]+/[^/]+)"
_ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/validate-yaml", lambda handler, *_: handler._reply(200, {"errors": [], "warnings": []})),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", f"/api/models/{_REPO}/preupload/(?P<revision>.+)", _Handler.preupload),
    ("POST", f"/api/models/{_REPO}/commit/(?P<revision>.+)", _Handler.commit),
    ("GET", f"/api/models/{_REPO}/tree/(?P<revision>[^/]+)", _Handler.tree),
    ("GET", f"/api/models/{_REPO}(/revision/(?P<revision>.+))?", _Handler.info),
    ("POST", f"/{_REPO}.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", r"/lfs/(?P<oid>\w+)", _Handler.store),
    ("GET", f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
    ("HEAD", f"/{_REPO}/resolve/(?P<revision>[^/]+)/(?P<file>.+)", _Handler.resolve),
    ("POST", "/v2/endpoint/(?P<space>[^/]+)", _Handler.make_endpoint),
    ("GET", "/v2/endpoint/(?P<space>[^/]+)/(?P<name>[^/]+)", _Handler.get_endpoint),
    ("DELETE", "/v2/endpoint/(?P<space>[^/]+)/(?P<name>[^/]+)", _Handler.delete_endpoint),
]
