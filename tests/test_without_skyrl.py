"""What a user without SkyRL's environment reads; the engine itself is tested in tests/skyrl."""

from __future__ import annotations

import importlib.util

import pytest

from recruiter.errors import ConfigError
from recruiter.skyrl import prepare_imports


def test_without_skyrl_the_engine_is_one_sentence_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skyrl" else found(name))
    with pytest.raises(ConfigError, match=r"^engine=skyrl needs the package skyrl, .* `make skyrl-env` .*\.$"):
        prepare_imports()
