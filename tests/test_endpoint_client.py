import pytest

from recruiter.deploy import endpoint_client
from recruiter.deploy.endpoint_client import EndpointClient
from recruiter.errors import EndpointError
from recruiter.prompts import generator_messages
from tests.fake_endpoint import QUESTION, TOKEN, FakeEndpoint


@pytest.fixture
def start(monkeypatch):
    """Start endpoints with given states; pauses between attempts are short."""
    monkeypatch.setattr(endpoint_client, "PAUSE_SECONDS", 0.02)
    made: list[FakeEndpoint] = []

    def make(**state) -> FakeEndpoint:
        made.append(FakeEndpoint(**state))
        return made[-1]

    yield make
    for server in made:
        server.close()


def client(server, token=TOKEN, wait=5.0, said=None):
    heard = said if said is not None else []
    return EndpointClient(server.url, token, wait, lambda reason, _: heard.append(reason))


def test_health_model_and_question_through_the_common_prompt(start, role):
    server = start()
    asking = client(server)
    assert asking.health() < 5
    answer = asking.ask(asking.model(), generator_messages(role(1)), 256)
    assert (answer.text, answer.tokens) == (QUESTION, 12)
    assert answer.seconds > 0
    assert server.bodies == [{"model": "question-writer", "messages": generator_messages(role(1)), "max_tokens": 256}]


@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_a_cold_start_is_waited_for(start, status):
    said: list[str] = []
    client(start(cold=3, cold_status=status), said=said).health()
    assert len(said) == 3
    assert str(status) in said[0]


def test_waiting_ends(start):
    with pytest.raises(
        EndpointError, match=r"gives no answer after .* \(it is starting, 503\): look at its log .*--wait"
    ):
        client(start(cold=10**6), wait=0.1).health()


def test_nobody_there():
    unreachable = EndpointClient("http://127.0.0.1:9", TOKEN, 0, lambda *_: None)
    with pytest.raises(EndpointError, match=r"it cannot be reached \(ConnectError\)"):
        unreachable.health()


def test_paused_is_not_waited_for(start):
    said: list[str] = []
    with pytest.raises(EndpointError, match="is paused, and only its owner can resume it"):
        client(start(state="paused"), said=said).health()
    assert not said


def test_wrong_and_missing_token(start):
    server = start()
    with pytest.raises(EndpointError, match=r"does not accept HF_TOKEN \(401\): set HF_TOKEN"):
        client(server, token="hf_wrong").health()
    with pytest.raises(EndpointError, match=r"needs a token \(401\)"):
        client(server, token=None).health()


def test_other_servers_and_addresses(start, role):
    with pytest.raises(EndpointError, match="answers, but not as a chat model"):
        client(start(state="broken")).ask("m", generator_messages(role()), 8)
    with pytest.raises(EndpointError, match=r"HF_ENDPOINT_URL=example\.com is no address"):
        EndpointClient("example.com", None, 1, lambda *_: None)
    wrong = start()
    wrong.url += "/elsewhere"
    with pytest.raises(EndpointError, match=r"has nothing there \(404\): check HF_ENDPOINT_URL"):
        client(wrong).health()


def test_address_may_end_in_v1(start):
    server = start()
    server.url += "/v1/"
    assert client(server).model() == "question-writer"
