"""The LLM judge when calls fail: what is tried again, what stays unscored, what ends judging."""

from __future__ import annotations

import time
from typing import Any

import pytest

from recruiter.errors import ApiError, JudgeError
from recruiter.judges.llm.estimate import ask_for_probe
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge, Faults
from tests.judges.conftest import GOOD, KEY, PROVIDERS, QUESTIONS, MakeJudge, score

# ---- failures that pass ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["xai", "anthropic"])
@pytest.mark.parametrize("fault", ["rate_limit", "server_error", "silence", "cut", "garbage"])
def test_a_call_that_fails_once_is_made_again(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, hasty: None, provider: str, fault: str
) -> None:
    server.faults = Faults(first=[fault])
    made = judge(provider, attempt_timeout=2.0)
    (judgement,) = score(made, role(), [GOOD])
    assert judgement.scores is not None
    assert len(server.requests) == made.usage.total.calls == 2
    kind = {"silence": "timeout", "cut": "connection", "garbage": "server_error"}.get(fault, fault)
    assert made.usage.total.errors == {kind: 1}


@pytest.mark.parametrize("fault", ["malformed", "out_of_range", "missing_score", "empty"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_reply_that_cannot_be_used_is_mended_once(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, provider: Any, fault: str
) -> None:
    server.faults = Faults(first=[fault])
    (judgement,) = score(judge(provider), role(), [GOOD])
    assert judgement.scores is not None
    first, second = server.requests
    assert [m["role"] for m in second.body["messages"]][-2:] == ["assistant", "user"]
    assert second.message == first.message
    assert "cannot be used" in second.body["messages"][-1]["content"]


def test_text_around_the_object_needs_no_second_call(judge: MakeJudge, role: MakeRole, server: FakeJudge) -> None:
    server.fenced = True
    (judgement,) = score(judge("openai_compatible"), role(), [GOOD])
    assert judgement.scores is not None
    assert len(server.requests) == 1


# ---- failures that stay ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "reason", "calls"),
    [
        ("server_error", "server_error: HTTP 500", 3),
        ("cut", "connection:", 3),
        ("silence", "timeout: no answer within 1 s", 3),
        ("malformed", "malformed: it holds no JSON object", 2),
        ("out_of_range", "malformed: clarity: Input should be less than or equal to 10", 2),
        ("missing_score", "malformed: discriminative: Field required", 2),
        ("refusal", "refusal:", 1),
        ("truncated", "truncated:", 1),
        ("bad_request", "bad_request: HTTP 400", 1),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_what_fails_for_good_is_unscored_with_the_reason_and_not_kept(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, hasty: None, provider: str, fault: str, reason: str, calls: int
) -> None:
    server.faults = Faults([fault], share=1.0, times=None)
    made = judge(provider, max_attempts=3, attempt_timeout=1.0)
    (judgement,) = score(made, role(), [GOOD])
    assert judgement.scores is None
    assert judgement.unscored_reason.startswith(reason)
    assert len(server.requests) == calls
    server.faults = Faults()
    (judgement,) = score(made, role(), [GOOD])
    assert judgement.scores is not None
    assert len(server.requests) == calls + 1


@pytest.mark.parametrize("fault", ["silence", "rate_limit", "server_error"])
def test_the_total_time_limit_holds_whatever_happens(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, fault: str
) -> None:
    server.faults = Faults([fault], share=1.0, times=None, retry_after=0.2)
    start = time.monotonic()
    (judgement,) = score(judge(attempt_timeout=0.7, total_timeout=1.5, max_attempts=500), role(), [GOOD])
    assert judgement.scores is None
    assert time.monotonic() - start < 15


def test_retry_after_beyond_the_total_limit_is_not_waited_for(
    judge: MakeJudge, role: MakeRole, server: FakeJudge
) -> None:
    server.faults = Faults(["rate_limit"], share=1.0, times=None, retry_after=3600)
    start = time.monotonic()
    (judgement,) = score(judge(), role(), [GOOD])
    assert judgement.unscored_reason == "rate_limit: HTTP 429"
    assert time.monotonic() - start < 30


def test_one_call_told_to_come_back_tomorrow_does_not_hold_up_the_others(
    judge: MakeJudge, role: MakeRole, server: FakeJudge
) -> None:
    server.faults = Faults(first=["rate_limit"], retry_after=3600)
    start = time.monotonic()
    first, *others = score(judge(concurrency=1), role(), QUESTIONS[:3])
    assert first.scores is None
    assert all(judgement.scores for judgement in others)
    assert time.monotonic() - start < 30


def test_retry_after_is_honoured_by_calls_that_have_not_started_yet(
    judge: MakeJudge, role: MakeRole, server: FakeJudge
) -> None:
    server.faults = Faults(first=["rate_limit"], retry_after=0.6)
    score(judge(concurrency=1), role(), QUESTIONS[:3])
    first, *others = server.requests
    assert min(request.at for request in others) - first.at >= 0.6


@pytest.mark.parametrize(
    ("fault", "parts"),
    [
        ("wrong_key", ["xai refused the key", "XAI_API_KEY", ".env"]),
        ("xai_wrong_key", ["xai refused the key", "XAI_API_KEY"]),
        ("no_credit", ["credit at xai is used up"]),
        ("xai_no_credit", ["credit at xai is used up", "available credits"]),
        ("unknown_model", ["xai does not have the model grok-4.3", "judge.model"]),
    ],
)
def test_what_would_fail_for_every_question_ends_judging_at_once_in_one_sentence(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, fault: str, parts: list[Any]
) -> None:
    server.faults = Faults([fault], share=1.0, times=None)
    made = judge(concurrency=2)
    with pytest.raises(ApiError) as caught:
        score(made, role(), QUESTIONS)
    message = str(caught.value)
    assert "\n" not in message
    assert KEY not in message
    for part in parts:
        assert part in message
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert len(server.requests) <= 2
    with pytest.raises(ApiError):
        score(made, role(), [GOOD])
    assert len(server.requests) <= 2


@pytest.mark.parametrize(("fault", "said"), [("wrong_key", "refused the key"), ("no_credit", "used up"),
                                             ("unknown_model", "does not have the model")])  # fmt: skip
def test_anthropic_words_the_same_things_otherwise(
    judge: MakeJudge, role: MakeRole, server: FakeJudge, fault: str, said: str
) -> None:
    server.faults = Faults([fault], share=1.0, times=None)
    with pytest.raises(ApiError, match=said):
        score(judge("anthropic"), role(), [GOOD])


@pytest.mark.parametrize("fault", ["wrong_key", "server_error", "malformed", "refusal"])
def test_probe_refuses_a_judge_that_does_not_answer(
    judge: MakeJudge, server: FakeJudge, hasty: None, fault: str
) -> None:
    server.faults = Faults([fault], share=1.0, times=None)
    with pytest.raises(ApiError):
        ask_for_probe(judge(max_attempts=2))


def test_probe_of_a_server_that_is_not_there_names_its_address(judge: MakeJudge, hasty: None) -> None:
    with pytest.raises(JudgeError, match=r"at http://127\.0\.0\.1:9/v1 did not answer: connection"):
        ask_for_probe(judge("openai_compatible", base_url="http://127.0.0.1:9/v1"))


def test_probe_asks_even_if_the_answer_is_known(judge: MakeJudge, server: FakeJudge) -> None:
    for count in (1, 2):
        probe = ask_for_probe(judge())
        assert len(server.requests) == count
    assert known(probe).tokens.input > 100
    assert known(probe).seconds > 0
