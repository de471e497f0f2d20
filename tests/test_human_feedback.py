"""The training side's calls, against what is no feedback server, and what it makes of answers. Waiting: tests/train/online."""

from __future__ import annotations

import asyncio
import dataclasses
import http.server
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from recruiter.config import HumanFeedbackConfig, JudgeConfig
from recruiter.errors import ConfigError, JudgeError
from recruiter.human_feedback import GroupView, HumanJudge, QuestionGroup
from recruiter.judges.feedback_client import FeedbackClient, duration_text
from recruiter.judges.making import make_judge
from tests.conftest import MakeRole
from tests.scoring import RUBRIC

RATED = {"status": "rated", "scores": {"relevance": 5, "clarity": 3.0, "discriminative": 1}}
KEY = "a-long-key-of-the-tests"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FEEDBACK_API_KEY", KEY)


def record(**changes: object) -> dict[str, Any]:
    shown = {
        "group_id": "g", "status": "rated", "version": 3, "late": False, "consumed_step": None, "skip_reason": None,
        "results": [RATED], "waiting": None,
    }  # fmt: skip
    return {**shown, **changes}


@pytest.fixture
def answering() -> Iterator[tuple[HumanFeedbackConfig, list[Any]]]:
    """A server that gives the scripted answers (status, body) one by one, the last one for ever; and what it was sent."""
    script: list[Any] = [(200, "{}")]
    seen: list[Any] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.append((self.path, self.headers["authorization"]))
            status, body = script.pop(0) if len(script) > 1 else script[0]
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = HumanFeedbackConfig(api_url=f"http://127.0.0.1:{server.server_port}/", timeout=0.5)
        yield settings, script
        assert all(sent == f"Bearer {KEY}" for _, sent in seen)
        server.shutdown()


def test_ratings_become_scores_by_the_rubric() -> None:
    (judgement,) = GroupView.read(record(), RUBRIC).judgements
    assert judgement.scores is not None
    assert [judgement.scores[name] for name in ("relevance", "clarity", "discriminative")] == [10, 5, 0]
    assert judgement.reward == 0.5


@pytest.mark.parametrize(
    ("status", "skip_reason", "said"),
    [
        ("skipped", "not_my_field", "skipped: not my field"),
        ("skipped", None, "skipped: no reason given"),
        ("expired", None, "not rated in time"),
        ("cancelled", None, "cancelled"),
    ],
)
def test_what_is_not_rated_has_a_reason_and_no_number(status: str, skip_reason: str | None, said: str) -> None:
    unrated = {"status": status, "scores": None}
    (judgement,) = GroupView.read(record(status=status, skip_reason=skip_reason, results=[unrated]), RUBRIC).judgements
    assert (judgement.scores, judgement.reward, judgement.unscored_reason) == (None, None, said)


@pytest.mark.parametrize(
    ("changes", "step", "is_own", "counts"),
    [
        ({}, 4, True, True),
        ({"late": True}, 4, True, False),
        ({"late": True}, 4, False, True),
        ({"consumed_step": 4}, 4, True, True),
        ({"consumed_step": 3}, 4, False, False),
        ({"status": "expired"}, 4, True, False),
    ],
)
def test_which_ratings_a_step_trains_on(changes: dict[str, Any], step: int, is_own: bool, counts: bool) -> None:
    assert GroupView.read(record(**changes), RUBRIC).counts_in(step, is_own) is counts


def test_people_are_made_by_the_same_place_as_other_judges() -> None:
    judge = make_judge(JudgeConfig(provider="human"), HumanFeedbackConfig(api_url="http://elsewhere:1"))
    assert isinstance(judge, HumanJudge)
    assert judge.client.url == "http://elsewhere:1"


def test_no_server_is_one_sentence_that_says_how_to_start_it() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(JudgeError) as caught:
            asyncio.run(FeedbackClient(HumanFeedbackConfig(api_url=address)).check())
    message = str(caught.value)
    for part in (f"human_feedback.api_url={address}", "uvicorn app:app"):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (401, '{"error": {"code": "wrong_key", "message": "no"}}', "refused the key: set FEEDBACK_API_KEY"),
        (200, "<html>another application</html>", "is no feedback server (HTTP 200 for /api/groups/wait)"),
        (404, '{"detail": "Not Found"}', "is no feedback server (HTTP 404"),
        (400, '{"error": {"code": "x", "message": "No such thing."}}', "refused /api/groups/wait (HTTP 400): No such"),
    ],
)
def test_answers_that_end_the_run_at_once(
    answering: tuple[HumanFeedbackConfig, list[Any]], status: int, body: str, said: str
) -> None:
    settings, script = answering
    script[:] = [(status, body)]
    with pytest.raises(JudgeError) as caught:
        asyncio.run(FeedbackClient(settings).check())
    assert said in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("wrong", ["ключ-которого-нет", "two words"])
def test_what_cannot_be_a_key_is_refused(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    monkeypatch.setenv("FEEDBACK_API_KEY", wrong)
    with pytest.raises(ConfigError, match="FEEDBACK_API_KEY holds spaces or letters"):
        HumanJudge(HumanFeedbackConfig())


def test_step_of_which_nothing_can_be_shown_ends_the_run(
    answering: tuple[HumanFeedbackConfig, list[Any]], role: MakeRole
) -> None:
    settings, script = answering
    script[:] = [(422, '{"error": {"code": "invalid", "message": "No such field."}}')]
    group = QuestionGroup("g", "run", 1, role(), ("Why?",))
    with pytest.raises(JudgeError, match=r"No such field\. No group of this step could be shown"):
        asyncio.run(HumanJudge(settings).rate([group]))


def test_busy_or_broken_server_is_asked_again_until_the_patience_is_over(
    answering: tuple[HumanFeedbackConfig, list[Any]],
) -> None:
    settings, script = answering
    client = FeedbackClient(dataclasses.replace(settings, timeout=60.0))
    script[:] = [(503, "down"), (429, "busy"), (200, '{"ok": true}')]
    assert asyncio.run(client.call("POST", "/api/groups", {})) == {"ok": True}
    assert client.away is None
    script[:] = [(502, "down")]
    client = FeedbackClient(settings)
    with pytest.raises(JudgeError, match=r"has not answered for 0.5 s \(HTTP 502\)"):
        asyncio.run(client.call("POST", "/api/groups", {}))


def test_other_version_of_the_api_is_one_sentence(answering: tuple[HumanFeedbackConfig, list[Any]]) -> None:
    settings, script = answering
    script[:] = [(200, '{"groups": [{"group_id": "g"}]}')]
    with pytest.raises(JudgeError, match="speaks another version of the API"):
        asyncio.run(HumanJudge(settings).look(["g"]))


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.5, "0.5 s"), (59, "59 s"), (90, "1.5 min"), (5400, "1.5 h"), (86400, "24 h")]
)
def test_spans_of_time_are_said_in_their_largest_unit(seconds: float, said: str) -> None:
    assert duration_text(seconds) == said
