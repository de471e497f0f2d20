"""Settings of the server, from environment variables. Their table in docs/human_feedback.md is made from here, see `table`."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import sqlalchemy as sa
from pydantic import BeforeValidator

from recruiter.cli.command import command
from recruiter.config.paths import IS_INSTALLED, WORKSPACE
from recruiter.config.setting import Section, Setting, format_value, setting, settings, validate

FOLDER = Path(__file__).resolve().parents[1]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def file_url(path: Path) -> str:
    """The address of a database in a file, whatever the file is called."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def _networks(text: object) -> object:
    if not isinstance(text, str):
        return text
    return tuple(ipaddress.ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def _names(text: object) -> object:
    return tuple(part.strip() for part in text.split(",") if part.strip()) if isinstance(text, str) else text


@dataclass(frozen=True)
class Settings(Section):
    """What can be set."""

    database_url: str = setting(
        file_url((WORKSPACE if IS_INSTALLED else FOLDER) / "feedback.db"),
        "where ratings are stored; default: `feedback-ui/feedback.db`, installed `feedback.db` in the current folder",
        instead="`sqlite:///file.db` or `postgresql://user:password@host/name`",
        variable="DATABASE_URL",
        secret=True,
    )
    api_key: str | None = setting(
        None,
        "what training on another machine sends; without one, training on this machine only",
        min_length=16,
        instead="a long random text of 16 characters or more",
        variable="FEEDBACK_API_KEY",
        secret=True,
    )
    trusted_proxies: Annotated[tuple[Network, ...], BeforeValidator(_networks)] = setting(
        (),
        "proxies whose X-Forwarded-For, -Proto and -Host headers count",
        instead="addresses or networks such as 10.0.0.0/8, separated by commas",
        variable="FEEDBACK_TRUSTED_PROXIES",
    )
    local_owner: bool = setting(
        True,
        "whether people on this machine may rate, and act as owners, without a link; `no` behind a proxy that sets no "
        "X-Forwarded headers",
        instead="`yes` or `no`",
        variable="FEEDBACK_LOCAL_OWNER",
    )
    lease_seconds: float = setting(
        300.0,
        "seconds that a group stays with a rater whose page gives no sign of life",
        ge=5,
        le=86400,
        variable="FEEDBACK_LEASE_SECONDS",
    )
    check_every: int = setting(
        0,
        "groups after which a rater gets one whose answer is known, or one of their own again; 0: never",
        ge=0,
        le=10_000,
        variable="FEEDBACK_CHECK_EVERY",
    )
    user_header: str | None = setting(
        None,
        "header in which a trusted proxy names whoever is signed on there; they need no link",
        instead="a header's name such as X-Forwarded-User",
        pattern=r"^[A-Za-z0-9-]{1,60}$",
        variable="FEEDBACK_USER_HEADER",
    )
    owners: Annotated[tuple[str, ...], BeforeValidator(_names)] = setting(
        (),
        "names in that header that are owners",
        instead="names separated by commas",
        variable="FEEDBACK_OWNERS",
    )
    webhook: str | None = setting(
        None,
        "address that gets a POST with `text` when training begins to wait for ratings",
        instead="an address such as https://chat.example.org/hooks/…",
        pattern=r"^https?://\S+$",
        variable="FEEDBACK_WEBHOOK",
        secret=True,
    )
    model: str | None = setting(
        None,
        "what writes practice questions; default: the exported model, else the newest checkpoint, else the starter model",
        instead="a folder, a checkpoint or an alias",
        variable="FEEDBACK_MODEL",
    )
    rubric: str | None = setting(
        None,
        "the criteria that people rate by; default: the built-in ones",
        instead="a file in the form of configs/rubric.yaml",
        variable="FEEDBACK_RUBRIC",
    )
    judge: str | None = setting(
        None,
        "what scores the questions of the writing page; default: the writing model before its training (`local`), where its "
        "head is fitted to readers' scores, else `rubric`",
        instead="`local`, `rubric`, `xai`, `openai/<model>`, …",
        variable="FEEDBACK_JUDGE",
    )
    sessions_last: float = setting(90 * 86400.0, "seconds after which a rater's cookie has to be renewed by the link")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read the variables that are set and not empty.

        Raises:
            ConfigError: a value cannot be used.
        """
        given = {name: environment.get(entry.variable) for name, entry in _VARIABLES.items() if entry.variable}
        return validate(cls, {name: value for name, value in given.items() if value}, _as_variable)


_VARIABLES = {name: entry for name, entry in settings(Settings).items() if entry.variable}


def _as_variable(entry: Setting, value: str) -> str:
    return str(entry.variable) if entry.secret else f"{entry.variable}={value}"


def table() -> str:
    """The variables as a Markdown table."""
    rows = ["| variable | value | default | meaning |", "| --- | --- | --- | --- |"]
    for entry in _VARIABLES.values():
        default = f"`{format_value(entry.default)}`" if entry.default and not entry.secret else ""
        rows.append(
            f"| `{entry.variable}` | {entry.wanted.removesuffix(', or null')} | {default} | {entry.description} |"
        )
    return "\n".join(rows)


@command
def main() -> None:
    """Print the variables."""
    print(table())


if __name__ == "__main__":
    main()
