"""Settings of the server, from the environment."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from recruiter.errors import ConfigError

FOLDER = Path(__file__).resolve().parents[1]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Settings:
    """What can be set.

    Attributes:
        database_url: SQLite or PostgreSQL.
        api_key: what training must send unless it runs on this machine; None: only this machine.
        trusted_proxies: networks of proxies whose X-Forwarded-For, -Proto and -Host headers count.
        lease_seconds: how long a group is kept for a rater who sends no sign of life.
        model: what writes practice questions; None: the newest that is there.
        judge: what scores the questions of the writing page: rubric, xai, openai/<model>, …
        sessions_last: seconds after which a rater's cookie has to be renewed by the link.
    """

    database_url: str = field(default=f"sqlite:///{FOLDER / 'feedback.db'}", repr=False)
    api_key: str | None = field(default=None, repr=False)
    trusted_proxies: tuple[Network, ...] = ()
    lease_seconds: float = 300.0
    model: str | None = None
    judge: str = "rubric"
    sessions_last: float = 90 * 86400.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read DATABASE_URL, FEEDBACK_API_KEY, FEEDBACK_TRUSTED_PROXIES, FEEDBACK_LEASE_SECONDS, FEEDBACK_MODEL,
        FEEDBACK_JUDGE.

        Raises:
            ConfigError: a value cannot be used.
        """
        key = environment.get("FEEDBACK_API_KEY") or None
        if key is not None and len(key) < 16:
            raise ConfigError("FEEDBACK_API_KEY is shorter than 16 characters; take a long random one.")
        lease = environment.get("FEEDBACK_LEASE_SECONDS") or str(cls.lease_seconds)
        try:
            seconds = float(lease)
        except ValueError:
            seconds = 0.0
        if not 5 <= seconds <= 86400:
            raise ConfigError(f"FEEDBACK_LEASE_SECONDS={lease} must be a number of seconds from 5 to 86400.")
        return cls(
            database_url=environment.get("DATABASE_URL") or cls.database_url,
            api_key=key,
            trusted_proxies=_networks(environment.get("FEEDBACK_TRUSTED_PROXIES", "")),
            lease_seconds=seconds,
            model=environment.get("FEEDBACK_MODEL") or None,
            judge=environment.get("FEEDBACK_JUDGE") or cls.judge,
        )


def _networks(text: str) -> tuple[Network, ...]:
    networks = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ipaddress.ip_network(part, strict=False))
        except ValueError:
            raise ConfigError(
                f"FEEDBACK_TRUSTED_PROXIES: {part} is neither an address nor a network such as 10.0.0.0/8."
            ) from None
    return tuple(networks)
