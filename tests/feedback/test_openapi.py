"""The API as it describes itself: generated calls find no 5xx, and every answer is one that was announced."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app import create_app

from .load import Caller, ServerProcess

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 4
MODEL_WORK = ("/api/practice", "/api/write", "/api/model")  # would load a model, see test_practice.py


def test_every_route_is_described() -> None:
    for path, methods in create_app().openapi()["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert operation.get("description"), (method, path)
            assert path == "/api/health" or {"401", "422"} <= set(operation["responses"]), (method, path)
            for status, answer in operation["responses"].items():
                if status[0] in "45":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/ErrorBody"), (
                        path,
                        status,
                    )


def test_generated_calls_find_no_server_error(database_url: str, tmp_path: Path) -> None:
    with (tmp_path / "server.log").open("wb") as log:
        server = ServerProcess(database_url, log)
        server.start()
        try:
            call_everything(server.port)
        finally:
            server.stop()
    assert "Traceback" not in (tmp_path / "server.log").read_text()


def call_everything(port: int) -> None:
    rater = Caller(port)
    _, session = rater.call("GET", "/api/session")
    headers = {"X-CSRF-Token": session["csrf_token"], "Cookie": rater.headers["Cookie"]}
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    called = 0
    for found in schema.get_all_operations():
        operation = cast(Any, found).ok()
        if operation.path.startswith(MODEL_WORK):
            continue

        @hypothesis_settings(
            max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        def check(case: Any) -> None:
            if case.path == "/api/groups/wait" and isinstance(case.body, dict):
                case.body["timeout"] = 0
            case.call_and_validate(checks=CHECKS, headers=headers)

        check()
        called += 1
    assert called > 25
