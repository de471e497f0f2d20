"""Finding the writer that a name means."""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from recruiter.config import ApiConfig
from recruiter.config.paths import WORKSPACE, is_hub_id, model_folder
from recruiter.errors import ConfigError, ModelError
from recruiter.llm.providers import OWN_PATIENCE, PATIENCE, PROVIDERS
from recruiter.train.find_checkpoint import find_checkpoint
from recruiter.writers import Writer
from recruiter.writers.api import ApiWriter, EndpointWriter

if TYPE_CHECKING:
    from recruiter.writers.local import LocalWriter

ALIASES = {
    "starter": "exports/starter",
    "baseline": "Qwen/Qwen3-4B-Instruct-2507",
    "rl": "ash256/qwen3-4b-question-gen",
    "grok-4-1": "xai/grok-4-1-fast-non-reasoning",
    "claude-4-5-haiku": "anthropic/claude-haiku-4-5-20251001",
    "gpt-5-mini": "openai/gpt-5-mini-2025-08-07",
}
RL_EXPORT = "exports/qwen3-4b-question-gen"  # where download and export put the trained model
ENDPOINT_VARIABLE = "HF_ENDPOINT_URL"


def find_writer(
    name: str,
    checkpoint: str | None = None,
    base_url: str | None = None,
    budget_usd: float | None = None,
    prices: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Writer:
    """The writer that a `--model` argument means. Nothing is loaded or asked yet; only the starter model is fetched.

    Args:
        name: an alias; `provider/model`; `endpoint` or an address; `latest` or `best`; a folder with a model, a run, a
            checkpoint or an adapter; or a Hub id.
        checkpoint: what `rl` means, if given: any of the folders above.
        base_url: where a provider's model is, if not at its provider.
        budget_usd: what the calls of a provider's model may cost.
        prices: USD per million tokens in and out, by model, beside those that are known.

    Raises:
        ConfigError: a key or a setting is missing or wrong.
        ModelError: there is no such model or checkpoint.
    """
    wanted = checkpoint if name == "rl" and checkpoint else ALIASES.get(name, name)
    provider, _, model = wanted.partition("/")
    if provider in PROVIDERS and not model_folder(wanted):
        settings = ApiConfig(provider, model or None, base_url, budget_usd=budget_usd)
        settings.prices.update({model: {"input": one, "output": more} for model, (one, more) in prices.items()})
        attempt, total = OWN_PATIENCE if provider == "openai_compatible" else PATIENCE
        return ApiWriter(replace(settings, attempt_timeout=attempt, total_timeout=total), name)
    if wanted == "endpoint" or wanted.startswith(("http://", "https://")):
        address = os.environ.get(ENDPOINT_VARIABLE, "") if wanted == "endpoint" else wanted
        if not address:
            raise ConfigError(
                f"--model endpoint needs its address: set {ENDPOINT_VARIABLE} in the environment or in .env."
            )
        return EndpointWriter(address, name)
    return _local_writer(name, wanted)


def find_checker(
    judge: str | None,
    budget_usd: float | None = None,
    prices: Mapping[str, tuple[float, float]] = MappingProxyType({}),
    base_url: str | None = None,
) -> Writer | None:
    """The language model that a judge's name means, to check kits with; None: it means none.

    Args:
        base_url: where a provider's model is, if not at its provider.

    Raises:
        ConfigError, ModelError: see `find_writer`.
    """
    if judge in (None, "rubric", "human", "local"):
        return None
    return find_writer(judge.removeprefix("local/"), base_url=base_url, budget_usd=budget_usd, prices=prices)


def default_writer() -> Writer:
    """The best model that is on this machine: the trained export, the newest run's best checkpoint, the starter.

    Raises:
        ModelError: there is none.
    """
    if (WORKSPACE / RL_EXPORT / "config.json").is_file():
        return _local_writer(RL_EXPORT, RL_EXPORT)
    for name in ("best", "latest"):
        with contextlib.suppress(ModelError):
            checkpoint = find_checkpoint(name, WORKSPACE / "checkpoints")
            return _local_writer(str(checkpoint.path.relative_to(WORKSPACE)), str(checkpoint.adapter))
    if (WORKSPACE / ALIASES["starter"] / "config.json").is_file():
        return find_writer("starter")
    raise ModelError(
        "There is no model here yet. --model starter fetches a small one (100 MB) that runs on any machine; most of its "
        "questions must be rewritten. --model rl is the trained one, for a GPU; any provider/model works with its key."
    )


def _local_writer(name: str, wanted: str) -> LocalWriter:
    from recruiter.writers.local import LocalWriter

    if name == "starter":
        from recruiter.writers.starter import ensure_starter

        ensure_starter(WORKSPACE / wanted, lambda text: print(text, file=sys.stderr))
    folder = model_folder(RL_EXPORT if wanted == ALIASES["rl"] else wanted)
    if folder is not None and (folder / "config.json").is_file():
        return LocalWriter(str(folder), name=name)
    is_checkpoint = name == "rl" and wanted != ALIASES["rl"]
    if wanted in ("latest", "best") or folder is not None or is_checkpoint:
        return LocalWriter.of_adapter(_adapter(wanted, folder), name)
    if not is_hub_id(wanted):
        names = [*ALIASES, "endpoint", "latest", "best"]
        meant = "".join(f"; did you mean {alike}" for alike in difflib.get_close_matches(wanted, names, 1))
        raise ModelError(
            f"There is no model {wanted}{meant}: write one of {', '.join(names)}, a folder with a model or a checkpoint, "
            f"provider/model, or a Hub id such as {ALIASES['baseline']}."
        )
    return LocalWriter(wanted, name=name)


def _adapter(name: str, folder: Path | None) -> Path:
    """The adapter that a folder holds, or the newest or best one of all."""
    if folder is not None and (folder / "adapter_config.json").is_file():
        return folder
    return find_checkpoint(str(folder or name), WORKSPACE / "checkpoints").adapter
