"""What the environment says of proxies and certificates."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from recruiter.errors import ConfigError
from recruiter.llm.transport import make_http_client
from tests.fake_judge import FakeJudge


@pytest.mark.parametrize(
    ("variable", "value", "url"),
    [
        ("ALL_PROXY", "socks://127.0.0.1:9", "https://api.example.com/v1"),
        ("ALL_PROXY", "socks5://127.0.0.1:9", "https://api.example.com/v1"),
        ("https_proxy", "ftp://127.0.0.1:9", "https://api.example.com/v1"),
        ("SSL_CERT_FILE", "/nowhere/certificates.pem", "https://api.example.com/v1"),
        ("SSL_CERT_DIR", "/nowhere", "https://api.example.com/v1"),
    ],
)
def test_what_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, value: str, url: str) -> None:
    for name in ("ALL_PROXY", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(ConfigError, match=f"{variable}={value} names .* that cannot be used"):
        make_http_client(url)


def test_this_machine_is_asked_without_proxy_or_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "socks://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")

    async def ask(server: Any) -> Any:
        async with make_http_client(server.openai_url) as client:
            return await client.get(f"{server.openai_url}/models")

    with FakeJudge() as server:
        assert asyncio.run(ask(server)).status_code == 200
