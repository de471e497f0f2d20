"""Writers behind an API: what is sent, what comes back, what is paid once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from recruiter.config import SamplingParams
from recruiter.errors import ApiError, BudgetError, ConfigError
from recruiter.prompts import generator_messages
from recruiter.writers.api import THINKING_TOKENS, EndpointWriter
from tests.conftest import MakeRole, known
from tests.fake_judge import FakeJudge, Faults
from tests.writers.conftest import MakeWriter

PROVIDERS = ["xai", "openai", "anthropic"]
SAMPLING = SamplingParams(max_generate_length=64, temperature=0.5, top_p=0.9)


def by_slot(written: Any) -> dict[tuple[str, int], Any]:
    return {(w.role_id, w.sample): w for w in written}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_the_messages_and_settings_of_training_are_sent(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole, provider: Any
) -> None:
    (written,) = api_writer(provider).write([role()], 1, SAMPLING)
    (request,) = server.requests
    body = request.body
    sent = [{"role": "system", "content": body["system"]}] if provider == "anthropic" else []
    assert [*sent, *body["messages"]] == generator_messages(role())
    assert (body["temperature"], body["top_p"]) == (0.5, 0.9)
    assert (body.get("max_completion_tokens") or body["max_tokens"]) == 64
    assert (written.text[:3], written.finished, written.error) == ("As ", True, None)
    assert written.tokens > 0
    assert written.seconds > 0


def test_every_sample_of_every_role_comes_once_and_skipped_ones_are_not_asked_for(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole
) -> None:
    roles = [role(n) for n in range(3)]
    shares: list[Any] = []
    skip = {("role-000", 1), ("role-002", 0)}
    found = list(api_writer().write(roles, 2, SAMPLING, skip=skip, progress=shares.append))
    assert by_slot(found).keys() == {(r.id, s) for r in roles for s in range(2)} - skip
    assert len(found) == len(server.requests) == 4
    assert (shares[-1], shares) == (1.0, sorted(shares))


def test_what_was_paid_is_kept_and_another_seed_is_another_question(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole
) -> None:
    first = by_slot(api_writer().write([role()], 2, SAMPLING))
    assert by_slot(api_writer().write([role()], 2, SAMPLING)) == first
    assert len(server.requests) == 2
    for seed, sampling in ((1, SAMPLING), (0, SamplingParams(64, temperature=0.6))):
        asked = len(server.requests)
        list(api_writer().write([role()], 1, sampling, seed))
        assert len(server.requests) == asked + 1


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_refused_settings_are_left_out_and_said_also_from_the_cache(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole, provider: str
) -> None:
    server.refuses = {"temperature", "top_p"}
    for _ in range(2):
        writer = api_writer(provider)
        found = list(writer.write([role(n) for n in range(3)], 1, SAMPLING))
        assert all(written.error is None for written in found)
        assert len(server.requests) == 3 + 2
        assert len(writer.notes) == 2
        assert "takes no temperature, so its own was used instead of 0.5" in " ".join(writer.notes)


def test_top_k_is_said_to_be_missing_where_the_wire_has_no_name_for_it(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole
) -> None:
    sampling = SamplingParams(64, top_k=20)
    for provider, sent in (("xai", None), ("anthropic", 20)):
        writer = api_writer(provider)
        list(writer.write([role()], 1, sampling))
        assert server.requests[-1].body.get("top_k") == sent
        assert len(writer.notes) == (sent is None)


def test_thinking_gets_room_and_is_not_counted_as_question(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole
) -> None:
    server.thinks = 1000
    writer = api_writer("openai")
    first, second = writer.write([role(), role(1)], 1, SAMPLING)
    assert first.error is second.error is None
    assert first.tokens < 64
    limits = [request.body["max_completion_tokens"] for request in server.requests]
    assert limits == [64, 64 + THINKING_TOKENS, 64 + THINKING_TOKENS]
    assert "thinking" in writer.notes[0]


@pytest.mark.parametrize(
    ("fault", "said"), [("refusal", "refusal"), ("server_error", "server_error"), ("empty", "empty")]
)
def test_a_question_that_fails_has_a_reason_and_is_asked_for_again_next_time(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole, fault: str, said: str
) -> None:
    roles = [role(n) for n in range(8)]
    server.faults = Faults([fault], share=0.4, times=None, seed=1)
    found = list(api_writer(max_attempts=2).write(roles, 1, SAMPLING))
    failed = [written for written in found if written.error]
    assert 0 < len(failed) < len(found) == 8
    assert all(known(written.error).startswith(said) and not written.text for written in failed)
    server.faults, asked = Faults(), len(server.requests)
    assert all(written.error is None for written in api_writer().write(roles, 1, SAMPLING))
    assert len(server.requests) == asked + len(failed)


def test_a_wrong_key_ends_it_with_the_first_question(api_writer: MakeWriter, server: FakeJudge, role: MakeRole) -> None:
    server.faults = Faults(["wrong_key"], share=1.0, times=None)
    with pytest.raises(ApiError, match="xai refused the key"):
        list(api_writer().write([role(n) for n in range(20)], 1, SAMPLING))
    assert len(server.requests) == 1


def test_a_budget_is_kept(api_writer: MakeWriter, server: FakeJudge, role: MakeRole) -> None:
    prices = {"grok-4.3": {"input": 10.0, "output": 10.0}}
    writer = api_writer(budget_usd=0.02, prices=prices, concurrency=2)
    with pytest.raises(BudgetError, match=r"--budget-usd=0\.02"):
        list(writer.write([role(n) for n in range(40)], 1, SAMPLING))
    assert 0 < writer.usage.total.cost_usd <= 0.02


def test_a_caller_that_stops_stops_the_calls(api_writer: MakeWriter, server: FakeJudge, role: MakeRole) -> None:
    server.latency = 0.3

    def stop(share: Any) -> None:
        if share:
            raise KeyboardInterrupt

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        list(api_writer(concurrency=1).write([role(n) for n in range(50)], 1, SAMPLING, progress=stop))
    assert time.monotonic() - start < 10
    assert len(server.requests) < 5


def test_a_cache_that_cannot_be_used_is_said_before_a_call(
    api_writer: MakeWriter, server: FakeJudge, role: MakeRole, tmp_path: Path
) -> None:
    (tmp_path / "cache.sqlite").mkdir()
    with pytest.raises(ApiError, match=r"The cache of questions .*cache\.sqlite cannot be used"):
        list(api_writer().write([role()], 1, SAMPLING))
    assert not server.requests


def test_a_missing_key_is_one_sentence_before_anything(api_writer: MakeWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", "")
    with pytest.raises(ConfigError, match=r"xai needs a key: set XAI_API_KEY .*starter, need none"):
        api_writer()


# ---- servers of one's own --------------------------------------------------------------------------------------------


def test_an_address_is_enough_and_nothing_is_cached(server: FakeJudge, role: MakeRole) -> None:
    address = f"http://127.0.0.1:{server.port}"
    for count in (1, 2):
        (written,) = EndpointWriter(address).write([role()], 1, SAMPLING)
        assert written.error is None
        assert len(server.requests) == count
    body = server.requests[-1].body
    assert (body["model"], body["max_tokens"]) == ("fake", 64)
    assert isinstance(body["seed"], int)
    assert "authorization" in server.requests[-1].headers


def test_thoughts_in_the_text_are_no_part_of_the_question(
    server: FakeJudge, role: MakeRole, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "question", lambda message: "<think>Hm, a role.</think>\n\nWhy is it slow?")
    (written,) = EndpointWriter(server.openai_url).write([role()], 1, SAMPLING)
    assert written.text == "Why is it slow?"


def test_an_endpoint_that_scaled_to_zero_is_waited_for(server: FakeJudge, role: MakeRole) -> None:
    server.starting = 12
    (written,) = EndpointWriter(server.openai_url, "endpoint").write([role()], 1, SAMPLING)
    assert written.error is None
    assert server.requests[0].headers["authorization"].endswith("key-of-the-tests")


def test_a_server_with_several_models_asks_for_a_name(server: FakeJudge) -> None:
    server.models = ["one", "two"]
    with pytest.raises(
        ApiError, match=r"has 2 models \(one, two\); name one: --model openai_compatible/one --base-url"
    ):
        EndpointWriter(server.openai_url).prepare()


def test_a_server_that_is_not_there_is_named(server: FakeJudge) -> None:
    with pytest.raises(ApiError, match=r"http://127\.0\.0\.1:9/v1 .*connection"):
        EndpointWriter("http://127.0.0.1:9").prepare()
