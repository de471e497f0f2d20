"""What the environment says of proxies and certificates."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import Any

import pytest

from recruiter.errors import ConfigError
from recruiter.llm.transport import make_http_client
from tests import REPOSITORY
from tests.fake_judge import FakeJudge

MODEL_ON_THE_HUB = "trainer.policy.model.path=nobody/no-such-model"


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


@pytest.mark.parametrize(
    "variable", ["ALL_PROXY=socks://127.0.0.1:9", "ALL_PROXY=socks5://127.0.0.1:9", "SSL_CERT_FILE=/nowhere/a.pem"]
)
@pytest.mark.parametrize("command", [["scripts/download_model.py"], ["-m", "src.recruiter.main", MODEL_ON_THE_HUB]])
def test_what_the_hubs_client_cannot_use_is_named_too(command: list[str], variable: str) -> None:
    name, _, value = variable.partition("=")
    environment = {key: text for key, text in os.environ.items() if "proxy" not in key.lower() and "HUB" not in key}
    done = subprocess.run(
        [sys.executable, *command, *([] if len(command) > 1 else ["--output", "/nowhere/model"])],
        cwd=REPOSITORY,
        env={**environment, name: value, "XAI_API_KEY": "key"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 1
    assert variable in done.stderr
    assert "that cannot be used" in done.stderr
    assert done.stderr.count("\n") == 1


def test_this_machine_is_asked_without_proxy_or_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, "socks://127.0.0.1:9")
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/certificates.pem")

    async def ask(server: Any) -> Any:
        async with make_http_client(server.openai_url) as client:
            return await client.get(f"{server.openai_url}/models")

    with FakeJudge() as server:
        assert asyncio.run(ask(server)).status_code == 200
