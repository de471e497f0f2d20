"""Connections over HTTP, as every client here makes them, with one sentence for what the environment gets wrong."""

from __future__ import annotations

import os
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from recruiter.errors import ConfigError

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def make_http_client(url: str, **options: Any) -> httpx2.AsyncClient:
    """A client for what is at `url`. This machine is never asked through a proxy.

    Raises:
        ConfigError: a variable of the environment names a proxy or certificates that cannot be used.
    """
    parts = urlsplit(url)
    is_here = parts.hostname in LOOPBACK
    try:
        is_open = parts.scheme != "https"
        verify = (
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_open else _certificates(*map(os.environ.get, _CERTIFICATES))
        )
        return httpx2.AsyncClient(trust_env=not is_here, verify=verify, follow_redirects=True, **options)
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise ConfigError(_sentence("a proxy", _PROXIES, error)) from None
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(_sentence("certificates", _CERTIFICATES, error)) from None


def check_environment(url: str = "https://huggingface.co") -> None:
    """Refuse what `make_http_client` would, for connections that a library makes.

    Raises:
        ConfigError: a variable of the environment names a proxy or certificates that cannot be used.
    """
    make_http_client(url)


@lru_cache(maxsize=1)
def _certificates(*paths: str | None) -> ssl.SSLContext:
    """Read once, for that takes tens of milliseconds. `paths` are what the environment names instead of the usual ones."""
    for path in paths:
        if path and not Path(path).exists():
            raise FileNotFoundError(f"there is no {path}")
    return httpx2.create_ssl_context()


def _sentence(what: str, variables: tuple[str, ...], error: Exception) -> str:
    named = [f"{name}={os.environ[name]}" for name in variables if os.environ.get(name)]
    reason = str(error).split("\n", 1)[0].rstrip(".")
    return (
        f"{' or '.join(named) or 'The environment'} names {what} that cannot be used ({reason}): correct or unset it."
    )
