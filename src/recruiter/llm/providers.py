"""Providers of language models: where they are, whose key they take, what their models understand. Data, in one place."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from recruiter.config import ApiConfig
from recruiter.config.setting import ADDRESS
from recruiter.errors import ConfigError, MissingKeyError


@dataclass(frozen=True)
class Provider:
    """One provider.

    Attributes:
        wire: the wire format it speaks, which decides the SDK.
        base_url: its address; None: the settings must name one.
        key_variable: the environment variable that holds the key.
        needs_key: whether it answers nobody without one.
        default_model: the model when none is named; None: one must be.
        default_effort: how long that model thinks when nobody says; None: its provider chooses.
        has_schema: whether replies can be held to a JSON schema.
        temperature: a judge's when none is set; None: its models take none.
        limit_name: what the wire calls the limit of a reply's tokens.
        lacks: settings of sampling that it has no name for.
    """

    wire: Literal["openai", "anthropic"]
    base_url: str | None
    key_variable: str
    needs_key: bool = True
    default_model: str | None = None
    default_effort: str | None = None
    has_schema: bool = True
    temperature: float | None = None
    limit_name: str = "max_completion_tokens"
    lacks: tuple[str, ...] = ("top_k", "seed")


# Seconds for one attempt and for all of them, for texts longer than a judge's. A server without a GPU lets calls wait.
PATIENCE, OWN_PATIENCE = (120.0, 300.0), (1800.0, 3600.0)

PROVIDERS: dict[str, Provider] = {
    "xai": Provider(
        "openai",
        "https://api.x.ai/v1",
        "XAI_API_KEY",
        default_model="grok-4.3",
        default_effort="none",
        temperature=0.0,
    ),
    "openai": Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", default_model="gpt-6-luna"),
    "anthropic": Provider(
        "anthropic",
        "https://api.anthropic.com",
        "ANTHROPIC_API_KEY",
        default_model="claude-haiku-5-5",
        lacks=("seed",),
    ),
    "openai_compatible": Provider(
        "openai",
        None,
        "OPENAI_COMPATIBLE_API_KEY",
        needs_key=False,
        has_schema=False,
        temperature=0.0,
        limit_name="max_tokens",
        lacks=(),
    ),
    "huggingface": Provider(
        "openai",
        None,
        "HF_TOKEN",
        needs_key=False,
        has_schema=False,
        temperature=0.0,
        limit_name="max_tokens",
        lacks=(),
    ),
}


@dataclass(frozen=True)
class Retired:
    """A model that its provider has ended, whatever is sent under its name today.

    Attributes:
        ended: the day, as YYYY-MM-DD.
        successor: the model that its provider names instead.
        reasoning_effort: at which the successor does the same; None: its provider chooses.
    """

    ended: str
    successor: str
    reasoning_effort: str | None = None


# By provider and model. xAI: https://docs.x.ai/developers/migration/may-15-retirement
RETIRED: dict[tuple[str, str], Retired] = {
    ("xai", "grok-4-1-fast-reasoning"): Retired("2026-05-15", "grok-4.3", "low"),
    ("xai", "grok-4-1-fast-non-reasoning"): Retired("2026-05-15", "grok-4.3", "none"),
    ("xai", "grok-4-fast-reasoning"): Retired("2026-05-15", "grok-4.3", "low"),
    ("xai", "grok-4-fast-non-reasoning"): Retired("2026-05-15", "grok-4.3", "none"),
    ("xai", "grok-4-0709"): Retired("2026-05-15", "grok-4.3", "low"),
    ("xai", "grok-3"): Retired("2026-05-15", "grok-4.3", "low"),
}


@dataclass(frozen=True)
class FoundModel:
    """The model that settings mean: its name, how long it thinks, and a note if another one was named."""

    name: str
    reasoning_effort: str | None
    note: str | None = None


_LOOKS_LIKE_A_KEY = re.compile(r"\b(?:sk|xai|key)-[\w*.-]{6,}|(?<=bearer )\S+", re.IGNORECASE)


def find_provider(settings: ApiConfig) -> Provider:
    """The provider that the settings name.

    Raises:
        ConfigError: there is none of that name, or its model or address is missing.
    """
    name, named = settings.provider, settings.spelled("provider", settings.provider)
    if name not in PROVIDERS:
        raise ConfigError(
            f"{named} cannot work; write one of local, calibrated, rubric, human, {', '.join(PROVIDERS)}."
        )
    provider = PROVIDERS[name]
    if not (settings.model or provider.default_model):
        raise ConfigError(f"{named} needs {settings.spelled('model', '<a model that the server has>')}.")
    address = settings.base_url or provider.base_url
    if address is None:
        raise ConfigError(
            f"{named} needs {settings.spelled('base_url', 'http://localhost:11434/v1')} or another address."
        )
    if not re.fullmatch(ADDRESS, address):
        raise ConfigError(
            f"{settings.spelled('base_url', scrub(address))} cannot work; write an address such as "
            f"http://localhost:11434/v1, without a user name: a key belongs in {provider.key_variable}."
        )
    return provider


def find_model(settings: ApiConfig) -> FoundModel:
    """The model that the settings mean: its provider's default if they name none, its successor if it was retired."""
    provider, effort = PROVIDERS[settings.provider], settings.reasoning_effort
    if settings.model is None:
        return FoundModel(provider.default_model or "", effort or provider.default_effort)
    retired = RETIRED.get((settings.provider, settings.model))
    if retired is None:
        return FoundModel(settings.model, effort)
    effort = effort or retired.reasoning_effort
    at = f" with reasoning effort {effort}" if effort else ""
    note = (
        f"{settings.provider} ended {settings.model} on {retired.ended}; its successor {retired.successor} is used{at}"
    )
    return FoundModel(retired.successor, effort, note)


def find_key(settings: ApiConfig) -> str:
    """The key of a provider, from the environment; "" where none is needed.

    Raises:
        MissingKeyError: it is not set.
        ConfigError: it is nothing that could be a key.
    """
    provider = PROVIDERS[settings.provider]
    key = os.environ.get(provider.key_variable, "").strip()
    if not key and provider.needs_key:
        raise MissingKeyError(
            f"{settings.provider} needs a key: set {provider.key_variable} in the environment or in .env; "
            f"{settings.KEYLESS}."
        )
    if not key.isascii() or re.search(r"\s", key):
        raise ConfigError(f"{provider.key_variable} holds spaces or letters that no key has; copy it again.")
    return key


def scrub(text: str) -> str:
    """`text` on one line, short, and without any key: neither those of the environment nor what looks like one."""
    for provider in PROVIDERS.values():
        key = os.environ.get(provider.key_variable, "").strip()
        text = text.replace(key, "[key]") if key else text
    text = " ".join(_LOOKS_LIKE_A_KEY.sub("[key]", text).split())
    return text if len(text) <= 200 else text[:197] + "…"
