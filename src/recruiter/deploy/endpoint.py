"""A Hugging Face inference endpoint that serves an exported model with vLLM: made, waited for, deleted.

Nothing that costs money happens here without its price in `EndpointPlan.text` having been shown first; asking is the
command's business.
"""

from __future__ import annotations

import inspect
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from huggingface_hub import HfApi, InferenceEndpoint
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

from recruiter.config import EndpointConfig
from recruiter.deploy.hub import TOKEN_PAGE, NetworkError
from recruiter.errors import EndpointError
from recruiter.llm.transport import check_environment

MODEL_NAME = "question-writer"  # what the server calls the model, whatever repository it comes from
PAGE = "https://endpoints.huggingface.co"
PORT = 8000
POLL_SECONDS = 10.0
LONGEST_CONTEXT = 8192  # tokens; a prompt and its question need far less, and a small GPU has no room for more
_MEMORY_SHARE = 0.9  # of a GPU, that vLLM takes
_SPARE_GB = 2.0  # activations and keys and values


@dataclass(frozen=True)
class EndpointPlan:
    """An endpoint before it exists."""

    name: str
    repo: str
    instance_type: str
    usd_per_hour: float
    dtype: str
    max_model_len: int
    settings: EndpointConfig

    @property
    def text(self) -> str:
        """What will be created, and what it costs."""
        return (
            f"Endpoint {self.name}: {self.repo} on one {self.instance_type} ({self.settings.vendor}, "
            f"{self.settings.region}), {self.settings.image}, {self.dtype}, {self.max_model_len} tokens.\n"
            f"It costs ${self.usd_per_hour:.2f} an hour while it starts and runs, and nothing once it has had no request for "
            f"{self.settings.scale_to_zero_minutes} minutes; the next request starts it again."
        )

    @property
    def container_args(self) -> list[str]:
        """Arguments of the vLLM server; the repository is mounted at /repository."""
        return [
            "--model", "/repository", "--served-model-name", MODEL_NAME, "--dtype", self.dtype,
            "--max-model-len", str(self.max_model_len), "--port", str(PORT),
        ]  # fmt: skip


def plan_endpoint(
    settings: EndpointConfig, repo: str, instance_type: str | None, weights_bytes: int, max_model_len: int
) -> EndpointPlan:
    """Choose an instance and check that the model fits.

    Raises:
        EndpointError: the instance is not known, or its GPU is too small.
    """
    instance = check_instance(settings, instance_type)
    facts = settings.instances[instance]
    bytes_there = weights_bytes * (2 if facts["dtype"] == "float32" else 1)
    room = facts["memory_gb"] * _MEMORY_SHARE - _SPARE_GB
    if bytes_there / 1e9 > room:
        raise EndpointError(
            f"The model's {bytes_there / 1e9:.1f} GB of weights do not fit on one {instance} ({facts['memory_gb']} GB): choose "
            f"a larger --instance_type."
        )
    price = float(facts["usd_per_hour"])
    length = min(max_model_len, LONGEST_CONTEXT)
    return EndpointPlan(endpoint_name(repo), repo, instance, price, facts["dtype"], length, settings)


def endpoint_name(repo: str) -> str:
    """The endpoint's name for a repository: its own, as the service allows it (lower case, at most 32 characters)."""
    name = re.sub(r"[^a-z0-9]+", "-", repo.rpartition("/")[2].lower()).strip("-")
    return name[:32].strip("-") or "question-writer"


def check_client() -> None:
    """Refuse early a huggingface_hub that cannot make these endpoints.

    Raises:
        EndpointError: it is too old.
    """
    if "container_args" not in inspect.signature(HfApi.create_inference_endpoint).parameters:
        raise EndpointError(
            "This huggingface_hub cannot start a container with arguments, which an endpoint needs: pip install -U "
            "huggingface_hub."
        )


def check_instance(settings: EndpointConfig, instance_type: str | None) -> str:
    """The instance type that is meant.

    Raises:
        EndpointError: it is not known.
    """
    instance = instance_type or settings.instance_type
    if instance not in settings.instances:
        known = ", ".join(f"{name} (${facts['usd_per_hour']:.2f}/h)" for name, facts in settings.instances.items())
        raise EndpointError(f"--instance_type {instance} is not known; choose one of {known}.")
    return instance


def create_endpoint(plan: EndpointPlan) -> InferenceEndpoint:
    """Ask for the endpoint; it starts in the background.

    Raises:
        EndpointError: it exists already, or the service refuses.
    """
    with _refusals(plan.name, plan.repo):
        return HfApi().create_inference_endpoint(
            plan.name,
            repository=plan.repo,
            framework="pytorch",
            task="text-generation",
            accelerator="gpu",
            vendor=plan.settings.vendor,
            region=plan.settings.region,
            instance_size="x1",
            instance_type=plan.instance_type,
            type="authenticated",
            min_replica=0,
            max_replica=1,
            scale_to_zero_timeout=plan.settings.scale_to_zero_minutes,
            custom_image={"url": plan.settings.image, "healthRoute": "/health", "port": PORT},
            container_args=plan.container_args,
            namespace=plan.repo.partition("/")[0],
        )


def wait_for_endpoint(endpoint: InferenceEndpoint, minutes: float, status: Callable[[str], None]) -> str:
    """Wait until it runs; return its address. `status` hears the present state.

    Raises:
        EndpointError: it failed, was stopped, or is not there in time.
    """
    deadline = time.monotonic() + 60 * minutes
    with _refusals(endpoint.name, endpoint.repository):
        while True:
            state = str(getattr(endpoint.status, "value", endpoint.status))
            status(state)
            if state == "running" and endpoint.url:
                return endpoint.url
            if state in ("failed", "updateFailed"):
                reason = endpoint.raw.get("status", {}).get("message") or "no reason given"
                raise EndpointError(
                    f"The endpoint {endpoint.name} failed to start ({reason}): its log is at {PAGE}; remove it with "
                    f"--delete_endpoint."
                )
            if state in ("paused", "scaledToZero"):
                raise EndpointError(f"The endpoint {endpoint.name} is {state}: start it at {PAGE}.")
            if time.monotonic() > deadline:
                raise EndpointError(
                    f"The endpoint {endpoint.name} is still {state} after {minutes:g} minutes: look at {PAGE}, or remove it "
                    f"with --delete_endpoint."
                )
            time.sleep(POLL_SECONDS)
            endpoint.fetch()


def delete_endpoint(repo: str) -> str:
    """Delete the endpoint of a repository; return its name.

    Raises:
        EndpointError: there is none, or the service refuses.
    """
    name = endpoint_name(repo)
    with _refusals(name, repo):
        HfApi().delete_inference_endpoint(name, namespace=repo.partition("/")[0])
    return name


@contextmanager
def _refusals(name: str, repo: str) -> Iterator[None]:
    """Turn what the service answers into one sentence."""
    try:
        yield
    except LocalTokenNotFoundError:
        raise EndpointError(
            f"There is no Hub token: write HF_TOKEN=<token> into .env; make one at {TOKEN_PAGE}."
        ) from None
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        reason = str(error.server_message or error).strip().split("\n")[0].rstrip(".")
        sentences = {
            401: f"The endpoint service does not accept HF_TOKEN: make a new one at {TOKEN_PAGE}.",
            402: f"The account has no payment method or credit: add one before making the endpoint {name}.",
            403: f"HF_TOKEN may not manage endpoints of {repo.partition('/')[0]}: it needs that permission.",
            404: f"There is no endpoint {name}.",
            409: f"There is an endpoint {name} already: use it, or remove it with --delete_endpoint.",
        }
        fallback = f"The endpoint service refused {name} ({status}): {reason}."
        raise EndpointError(sentences.get(status or 0, fallback)) from None
    except (ValueError, ImportError, FileNotFoundError):
        check_environment()
        raise
    except NetworkError as error:
        raise EndpointError(f"The endpoint service cannot be reached ({type(error).__name__}): try again.") from None
