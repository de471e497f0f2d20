"""Judges and writers against servers whose answers are odd in ways that real ones are."""

from __future__ import annotations

import json
import random
import warnings
from typing import Any

import pytest

from recruiter.config import SamplingParams
from recruiter.errors import ApiError
from recruiter.writers.api import EndpointWriter
from tests.conftest import MakeRole
from tests.fake_judge import FakeJudge
from tests.judges.conftest import GOOD, QUESTIONS, MakeJudge, score

VERDICT = '{"reasoning": "Fine.", "relevance": 8, "clarity": 7.5, "discriminative": 6}'
DRAFT = '{"reasoning": "draft", "relevance": 5, "clarity": 5, "discriminative": 5}'
SAMPLING = SamplingParams(max_generate_length=64, temperature=0.5)


def chat(content: Any, finish: str = "stop", usage: Any = None, **message: Any) -> tuple[Any, ...]:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content, **message}}
    return 200, {"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}


def error(http: Any, **fields: Any) -> tuple[Any, ...]:
    return http, {"error": fields}


TAKEN = {
    "parts": chat(
        [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": VERDICT}]
    ),
    "usage of nulls": chat(VERDICT, usage={"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}),
    "usage without output": chat(VERDICT, usage={"prompt_tokens": 5}),
    "more cached than sent": chat(
        VERDICT, usage={"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}}
    ),
    "lone surrogate": chat(VERDICT.replace("Fine.", "x \\ud83d")),
    "draft in a thought without a beginning": chat(f"First {DRAFT} hm.\n</think>\n{VERDICT}"),
    "line break in a string": chat(VERDICT.replace("Fine.", "one\ntwo")),
    "last comma": chat(VERDICT[:-1] + ",}"),
    "numbers as strings": chat(VERDICT.replace("8,", '"8",')),
    "out of ten": chat(VERDICT.replace("8,", '"8/10",')),
    "escapes": chat(VERDICT.replace("Fine.", r"\$5 and don\'t")),
}


@pytest.mark.parametrize("name", TAKEN)
def test_an_answer_that_can_be_read_is_taken_the_first_time(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, name: Any
) -> None:
    server.instead = lambda request: TAKEN[name]
    made = judge("openai_compatible", prices={"fake": {"input": 1.0, "output": 1.0, "cached_input": 0.1}})
    (judgement,) = score(made, role(), [GOOD])
    assert judgement.reward == pytest.approx((8 + 7.5 + 6) / 30)
    judgement.reasoning.encode()
    assert len(server.requests) == 1
    assert made.usage.total.cost_usd >= 0
    server.instead = lambda request: None
    assert score(judge("openai_compatible"), role(), [GOOD]) == [judgement]
    assert len(server.requests) == 1


MINE = {
    "flagged": (error(403, code=403, message="Flagged", metadata={"flagged_input": "kill"}), "refusal"),
    "flagged, no more said": (error(403, code=403, message="Your input is not allowed here"), "forbidden"),
    "filter": (error(400, code="content_filter", message="The response was filtered"), "refusal"),
    "size": ((413, {"message": "Request Entity Too Large"}), "bad_request"),
    "echo": ((422, {"detail": [{"loc": ["body"], "msg": "Field required", "input": "authentication"}]}), "bad_request"),
    "echo of a reply": (
        error(400, message="Failed to generate JSON.", failed_generation="The data model leaves rows invalid"), "bad_request"
    ),
    "unfinished": (chat("How would you", "model_context_window_exceeded"), "truncated"),
    "sensitive": (chat("", "sensitive"), "refusal"),
    "only a thought": (chat("<think>" + VERDICT), "malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", MINE)
def test_what_concerns_one_question_costs_no_other(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, name: Any
) -> None:
    answer, kind = MINE[name]
    server.instead = lambda request: answer if QUESTIONS[0] in request.message else None
    first, *others = score(judge("openai_compatible"), role(), QUESTIONS[:3])
    assert first.unscored_reason.startswith(kind)
    assert all(judgement.scores for judgement in others)


PASSING = {
    "busy, in words that could be anything": error(
        429, code=429, message="The authentication service is out of credit"
    ),
    "busy in a 200": error(200, code=429, message="rate limited upstream"),
    "busy by another number": error(498, type="capacity_exceeded"),
    "quota a minute": error(403, status="PERMISSION_DENIED", message="Quota exceeded for quota metric 'Requests'"),
    "something between": (403, b"<html>Just a moment...</html>"),
    "lost upstream": chat('{"reasoning": "cut he', "error"),
    "no text": chat({"a": 1} and 7),
    "null": (200, None),
}


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(judge: MakeJudge, role: MakeRole, server: FakeJudge, hasty: None, name: Any) -> None:
    server.instead = lambda request: PASSING[name] if len(server.requests) < 3 else None
    (judgement,) = score(judge("openai_compatible"), role(), [GOOD])
    assert judgement.scores is not None
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (error(200, code=402, message="Insufficient credits"), "credit"),
        (
            (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid API key."}}]),
            "refused the key",
        ),
        (error(400, status="INVALID_ARGUMENT", details=[{"reason": "API_KEY_INVALID"}]), "refused the key"),
        (error(401, message=""), "refused the key"),
    ],
)
def test_what_concerns_the_account_ends_judging(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, answer: Any, said: str
) -> None:
    server.instead = lambda request: answer
    with pytest.raises(ApiError, match=said):
        score(judge("openai_compatible"), role(), [GOOD])


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_key_that_was_good_is_not_blamed_again(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, hasty: None, status: int
) -> None:
    server.instead = lambda request: (
        error(status, code="invalid_api_key", message="Forbidden") if QUESTIONS[1] in request.message else None
    )
    made = judge("openai_compatible", concurrency=1, max_attempts=2)
    first, second, third = score(made, role(), QUESTIONS[:3])
    assert first.scores
    assert f"HTTP {status}" in second.unscored_reason
    assert third.scores
    assert score(made, role(), QUESTIONS[3:4])[0].scores


# ---- settings that a server refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "refused", "limit"),
    [
        ("openai_compatible", {"max_tokens"}, "max_completion_tokens"),
        ("openai", {"max_completion_tokens"}, "max_tokens"),
        ("openai_compatible", {"max_tokens", "max_completion_tokens"}, None),
        ("openai_compatible", {"temperature"}, "max_tokens"),
        ("openai", {"response_format", "max_completion_tokens"}, "max_tokens"),
        ("anthropic", {"temperature"}, "max_tokens"),
    ],
)
def test_judges_and_writers_do_without_what_is_refused(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, provider: str, refused: set[Any], limit: str | None
) -> None:
    server.refuses = set(refused)
    made = judge(provider, temperature=0.5)
    found = score(made, role(), QUESTIONS[:1]) + score(made, role(), QUESTIONS[1:4])
    assert all(judgement.scores for judgement in found)
    assert len(server.requests) == len(refused) + 4
    last = server.requests[-1].body
    assert not refused & last.keys()
    assert {name for name in last if name.startswith("max_")} == ({limit} if limit else set())
    assert ("takes no temperature, so its own was used instead of 0.5" in made.usage.summary()) == (
        "temperature" in refused
    )
    if provider != "openai_compatible":
        return
    (written,) = EndpointWriter(server.openai_url).write([role()], 1, SAMPLING)
    assert written.error is None
    assert not refused & server.requests[-1].body.keys()


def test_a_setting_that_is_named_but_not_at_fault_is_kept(judge: MakeJudge, role: MakeRole, server: FakeJudge) -> None:
    complaint = error(400, message="Prompt is too long: what does 'temperature' mean?")
    server.instead = lambda request: complaint if QUESTIONS[0] in request.message else None
    made = judge("openai_compatible")
    first, second = score(made, role(), QUESTIONS[:2])
    assert first.unscored_reason.startswith("bad_request")
    assert second.scores
    score(made, role(), QUESTIONS[2:3])
    assert server.requests[-1].body["temperature"] == 0.0
    assert not made.usage.notes


# ---- writers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "text", "reason"),
    [
        (chat("First I look.\n</think>\n\nWhy is it slow?"), "Why is it slow?", None),
        (chat([{"type": "text", "text": "Why is it slow?"}]), "Why is it slow?", None),
        (chat("Why \ud83d is it slow?"), "Why \ufffd is it slow?", None),
        (chat("<think>plan and plan"), "", "empty"),
        (chat(None), "", "empty"),
        (chat("", "sensitive"), "", "refusal"),
    ],
)
def test_a_question_is_text_without_thoughts_or_there_is_none(
    role: MakeRole, server: FakeJudge, answer: Any, text: str, reason: str | None
) -> None:
    server.instead = lambda request: answer
    (written,) = EndpointWriter(server.openai_url).write([role()], 1, SAMPLING)
    assert written.text == text
    assert (written.error or "").startswith(reason or "")
    assert (written.error is None) == (reason is None)


# ---- everything at once ----------------------------------------------------------------------------------------------


def test_two_hundred_judgements_against_a_server_that_does_all_of_it(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, hasty: None
) -> None:
    odd = [
        *TAKEN.values(),
        *(answer for answer, _ in MINE.values()),
        *PASSING.values(),
        error(403, message="Forbidden"),
    ]
    drawn = random.Random(0)

    def answer(request: Any) -> Any:
        return drawn.choice(odd) if len(server.requests) > 1 and drawn.random() < 0.6 else None

    server.instead = answer
    made = judge("openai_compatible", concurrency=16)
    questions = [f"{question} Case {n}." for n in range(25) for question in QUESTIONS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = score(made, role(), questions[:1])
        judgements = first + score(made, role(), questions[1:])
    assert len(judgements) == 200
    assert all((judgement.scores is None) == bool(judgement.unscored_reason) for judgement in judgements)
    assert sum(judgement.scores is not None for judgement in judgements) > 100
    json.dumps(made.usage.state(), allow_nan=False)
