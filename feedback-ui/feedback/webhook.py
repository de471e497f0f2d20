"""A message to a chat or another service when training waits for people. Nobody waits for it, and no harm if it fails."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import httpx2

log = logging.getLogger(__name__)
SECONDS = 10.0


def tell(address: str, run: str, step: int, groups: int) -> None:
    """POST what is waited for as JSON: `text` for people, `run`, `step` and `groups` for programs."""
    text = f"Training {run} waits for ratings: {groups} group{'s' if groups != 1 else ''} of step {step}."
    try:
        body = {"text": text, "run": run, "step": step, "groups": groups}
        httpx2.post(address, json=body, timeout=SECONDS, trust_env=False).raise_for_status()
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        log.warning("FEEDBACK_WEBHOOK at %s was not told (%s).", urlsplit(address).hostname, type(error).__name__)
