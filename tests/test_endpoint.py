from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from recruiter.config import EndpointConfig
from recruiter.deploy import endpoint as module
from recruiter.deploy.endpoint import (
    check_client,
    create_endpoint,
    delete_endpoint,
    endpoint_name,
    plan_endpoint,
    wait_for_endpoint,
)
from recruiter.errors import EndpointError
from tests.fake_hub import FakeHub

REPO = "user/Qwen3-4B_question.gen"
SIZE = 8_000_000_000


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    server = FakeHub()
    server.connect(monkeypatch, tmp_path)
    yield server
    server.close()


def plan(instance: Any = None, size: Any = SIZE, length: int = 262_144, repo: Any = REPO) -> Any:
    return plan_endpoint(EndpointConfig(), repo, instance, size, length)


def test_plan_says_what_will_be_made_and_what_it_costs() -> None:
    text = plan().text
    assert "Endpoint qwen3-4b-question-gen: user/Qwen3-4B_question.gen on one nvidia-t4 (aws, us-east-1)" in text
    assert "vllm/vllm-openai:v0.8.5, float16, 8192 tokens" in text
    assert "$0.50 an hour" in text
    assert "60 minutes" in text
    assert "$0.80 an hour" in plan("nvidia-l4").text
    assert plan("nvidia-l4").dtype == "bfloat16"


def test_unknown_instance_and_too_large_model() -> None:
    with pytest.raises(
        EndpointError, match=r"--instance_type nvidia-t5 is not known; choose one of nvidia-t4 \(\$0\.50/h\)"
    ):
        plan("nvidia-t5")
    with pytest.raises(EndpointError, match=r"16\.0 GB of weights do not fit on one nvidia-t4 \(16 GB\)"):
        plan(size=16_000_000_000)
    assert plan("nvidia-l4", size=16_000_000_000).usd_per_hour == 0.8


def test_names_are_what_the_service_allows() -> None:
    assert endpoint_name(REPO) == "qwen3-4b-question-gen"
    assert endpoint_name("u/" + "a" * 40) == "a" * 32
    assert endpoint_name("u/_") == "question-writer"


def test_create_wait_and_delete(fake: Any) -> None:
    states: list[str] = []
    endpoint = create_endpoint(plan())
    assert wait_for_endpoint(endpoint, 1, states.append) == fake.url
    assert states == ["pending", "initializing", "running"]
    asked = fake.endpoints["user/qwen3-4b-question-gen"]["asked"]
    assert asked["compute"]["scaling"] == {"minReplica": 0, "maxReplica": 1, "scaleToZeroTimeout": 60}
    assert (asked["compute"]["instanceType"], asked["compute"]["instanceSize"]) == ("nvidia-t4", "x1")
    assert asked["model"]["image"]["custom"]["url"] == "vllm/vllm-openai:v0.8.5"
    arguments = asked["model"]["args"]
    assert arguments[arguments.index("--model") + 1] == "/repository"
    assert arguments[arguments.index("--dtype") + 1] == "float16"
    assert arguments[arguments.index("--max-model-len") + 1] == "8192"
    assert asked["type"] == "authenticated"
    assert delete_endpoint(REPO) == "qwen3-4b-question-gen"
    assert not fake.endpoints
    with pytest.raises(EndpointError, match="There is no endpoint qwen3-4b-question-gen"):
        delete_endpoint(REPO)


def test_an_endpoint_that_exists_fails_or_stays_away(fake: Any) -> None:
    create_endpoint(plan())
    with pytest.raises(EndpointError, match="There is an endpoint qwen3-4b-question-gen already"):
        create_endpoint(plan())
    fake.states = ["pending", "failed"]
    with pytest.raises(EndpointError, match=r"failed to start \(CUDA out of memory\): its log is at"):
        wait_for_endpoint(create_endpoint(plan(repo="user/b")), 1, lambda _: None)
    fake.states = ["initializing"]
    with pytest.raises(EndpointError, match=r"still initializing after 0 minutes"):
        wait_for_endpoint(create_endpoint(plan(repo="user/c")), 0, lambda _: None)
    fake.states = ["paused"]
    with pytest.raises(EndpointError, match="is paused: start it at"):
        wait_for_endpoint(create_endpoint(plan(repo="user/d")), 1, lambda _: None)


@pytest.mark.parametrize(
    ("status", "sentence"),
    [(401, "does not accept HF_TOKEN"), (402, "no payment method"), (403, "may not manage endpoints of user"),
     (422, r"refused qwen3-4b-question-gen \(422\)")],
)  # fmt: skip
def test_refusals_are_one_sentence(fake: Any, status: int, sentence: str) -> None:
    fake.fail("POST", "/v2/endpoint", status)
    with pytest.raises(EndpointError, match=sentence) as caught:
        create_endpoint(plan())
    assert "\n" not in str(caught.value)


def test_service_that_is_not_there(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.INFERENCE_ENDPOINTS_ENDPOINT", "http://127.0.0.1:9/v2")
    with pytest.raises(EndpointError, match=r"cannot be reached \(ConnectError\)"):
        create_endpoint(plan())


def test_a_client_without_container_arguments_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_client()
    assert "container_args" in inspect.signature(HfApi.create_inference_endpoint).parameters

    class Old:
        def create_inference_endpoint(self, name: str) -> None: ...

    monkeypatch.setattr(module, "HfApi", Old)
    with pytest.raises(EndpointError, match="pip install -U huggingface_hub"):
        check_client()
