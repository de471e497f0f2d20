from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from recruiter.deploy.asking import ask_server
from recruiter.errors import RecruiterError
from recruiter.prompts import generator_messages
from tests.conftest import MakeRole
from tests.fake_endpoint import QUESTION, TOKEN, FakeEndpoint


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Start endpoints with given states; pauses between attempts are short, and the token is that of the endpoints."""
    monkeypatch.setattr("recruiter.llm.retry.FIRST_PAUSE", 0.02)
    monkeypatch.setattr("recruiter.llm.retry.LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    made: list[FakeEndpoint] = []

    def make(**state: Any) -> FakeEndpoint:
        made.append(FakeEndpoint(**state))
        return made[-1]

    yield make
    for server in made:
        server.close()


def ask(url: Any, role: Any, said: Any = None, patience: float = 5.0) -> Any:
    heard = said if said is not None else []
    return asyncio.run(ask_server(url, generator_messages(role), 256, 1, patience, status=heard.append))


def test_model_and_question_through_the_common_prompt(start: Any, role: MakeRole) -> None:
    server = start()
    model, (answer,) = ask(server.url, role(1))
    assert (model, answer.text, answer.tokens) == ("question-writer", QUESTION, 12)
    assert answer.seconds > 0
    assert server.bodies == [{"model": "question-writer", "messages": generator_messages(role(1)), "max_tokens": 256}]


@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_a_cold_start_is_waited_for(start: Any, role: MakeRole, status: int) -> None:
    said: list[str] = []
    ask(start(cold=3, cold_status=status).url, role(), said)
    assert len([text for text in said if "waiting" in text]) == 3
    assert str(status) in said[0]


def test_waiting_ends(start: Any, role: MakeRole) -> None:
    with pytest.raises(RecruiterError, match=r"gives no answer after .*: look at its log .*--wait"):
        ask(start(cold=10**6).url, role(), patience=0.1)


def test_nobody_there(start: Any, role: MakeRole) -> None:
    with pytest.raises(RecruiterError, match=r"gives no answer after .*\(the connection failed \(ConnectError\)\)"):
        ask("http://127.0.0.1:9", role(), patience=0.1)


def test_paused_is_not_waited_for(start: Any, role: MakeRole) -> None:
    said: list[str] = []
    with pytest.raises(RecruiterError, match="is paused, and only its owner can resume it"):
        ask(start(state="paused").url, role(), said)
    assert not said


def test_wrong_and_missing_token(start: Any, role: MakeRole, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start()
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(RecruiterError, match=r"does not accept HF_TOKEN \(HTTP 401.*\): set HF_TOKEN"):
        ask(server.url, role())
    monkeypatch.setenv("HF_TOKEN", "")
    with pytest.raises(RecruiterError, match=r"needs HF_TOKEN \(HTTP 401"):
        ask(server.url, role())


def test_other_servers_and_addresses(start: Any, role: MakeRole) -> None:
    with pytest.raises(RecruiterError, match=r"gives no answer .*the answer is no chat completion"):
        ask(start(state="broken").url, role())
    with pytest.raises(RecruiterError, match=r"HF_ENDPOINT_URL=example\.com is no address"):
        ask("example.com", role())
    with pytest.raises(RecruiterError, match=r"has nothing there \(HTTP 404, Not Found\): check HF_ENDPOINT_URL"):
        ask(start().url + "/elsewhere", role())


def test_an_answer_without_text_is_no_question(start: Any, role: MakeRole) -> None:
    with pytest.raises(RecruiterError, match="answers, but without text"):
        ask(start(state="mute").url, role())


def test_address_may_end_in_v1(start: Any, role: MakeRole) -> None:
    assert ask(start().url + "/v1/", role())[0] == "question-writer"
