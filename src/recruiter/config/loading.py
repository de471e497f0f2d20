"""Settings from files and the command line: composed by Hydra, checked before anything heavy is loaded.

`load_config` returns a `Config` or raises a `ConfigError` whose one sentence names the key, the value and what to write
instead.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recruiter.config import SETTINGS, Config, to_dict
from recruiter.config.checks import checked
from recruiter.config.paths import CONFIGS, WORKSPACE
from recruiter.config.setting import find, sections, shown
from recruiter.errors import ConfigError

_SHARED = ("trainer", "generator")  # sections in which SkyRL has keys too


def load_config(name: str, overrides: Sequence[str] = (), folder: Path | None = None) -> Config:
    """Compose `folder/name.yaml` with command-line overrides and check it.

    Args:
        folder: by default `configs` of the current folder where the file is there, else the one that comes with the
            package; a file of one names files of the other in its `defaults`.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value that cannot work.
    """
    own = WORKSPACE / "configs"
    folder = folder or (own if (own / f"{name}.yaml").is_file() else CONFIGS)
    ConfigStore.instance().store(name="schema", node=OmegaConf.create(to_dict(Config())))
    overrides = [re.sub(r"^\+*trainer\.policy\.model\.lora\.", "trainer.policy.lora.", item) for item in overrides]
    added = next((item for item in overrides if item.startswith(("+", "~"))), None)
    if added is not None:
        raise ConfigError(f"{added} cannot work: every setting exists already; write {added.lstrip('+~')}.")
    try:
        with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            composed = _compose(name, overrides)
            in_file = find(OmegaConf.to_container(composed), "trainer.policy.model.lora")
            if in_file and isinstance(in_file, dict):
                spelled_as_skyrl = [f"trainer.policy.lora.{key}={shown(value)}" for key, value in in_file.items()]
                composed = _compose(name, [*spelled_as_skyrl, *overrides])
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise ConfigError(f"{missing[0]} is not set; write {missing[0]}=<value>.")
        values = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
    except MissingConfigException:
        names = sorted(path.stem for path in folder.glob("*.yaml") if "\ndefaults:" in f"\n{path.read_text()}")
        raise ConfigError(
            f"There is no configuration '{name}' in {folder}; choose one of {', '.join(names)}."
        ) from None
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(_explain(error, overrides, name)) from None
    unknown = _take_unknown(values)
    passed_on = {key: value for key, value in unknown.items() if key.split(".")[0] in _SHARED}
    if isinstance(values["skyrl"], dict):
        passed_on = values["skyrl"] = {**values["skyrl"], **passed_on}
    refused = {**unknown, **passed_on} if values["engine"] != "skyrl" else unknown.keys() - passed_on.keys()
    if refused:
        raise ConfigError(_unknown_setting(min(refused)))
    return checked(values)


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """`++` sets a key whether or not it exists, and adds to a mapping; what is unknown is refused afterwards."""
    place = str(CONFIGS).replace("'", "\\'")
    return compose(
        config_name=name, overrides=[f"hydra.searchpath=['file://{place}']", *(f"++{item}" for item in overrides)]
    )


def _take_unknown(values: dict[str, Any]) -> dict[str, Any]:
    """Remove what the schema lacks from `values`; return its leaves under their dotted names."""
    known_sections, found = sections(Config), {}

    def take(node: dict[str, Any], prefix: str) -> None:
        for name in list(node):
            key = f"{prefix}{name}"
            if key in known_sections and isinstance(node[name], dict):
                take(node[name], f"{key}.")
            elif key not in known_sections and key not in SETTINGS:
                found.update(leaves(node.pop(name), key))

    def leaves(value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            return {key: value}
        return {name: leaf for part in value for name, leaf in leaves(value[part], f"{key}.{part}").items()}

    take(values, "")
    return found


def _explain(error: Exception, overrides: Sequence[str], name: str) -> str:
    """Turn a message of Hydra, OmegaConf or YAML into one sentence that says what it is about."""
    cause: BaseException = error
    while isinstance(cause, HydraException):
        deeper = cause.__cause__ or cause.__context__
        if deeper is None or str(deeper) in ("", "None"):
            break
        cause = deeper
    message = str(cause).split("\n")[0].rstrip(".").replace("++", "")
    for override in overrides:
        key, _, value = override.partition("=")
        if not key or override in str(error) or (value and f"'{value}'" in message):
            return f"{override} is not valid: {message}."
    key = str(getattr(cause, "full_key", "") or "")
    return f"{key or f'The configuration {name}.yaml'} is not valid: {message}."


def _unknown_setting(key: str) -> str:
    """The sentence about a key that does not exist, with the one that was likely meant."""
    by_ending = {item.rsplit(".", 1)[-1]: item for item in SETTINGS}
    close = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.75) or [
        by_ending[match] for match in difflib.get_close_matches(key.rsplit(".", 1)[-1], by_ending, n=1, cutoff=0.7)
    ]
    hint = f"did you mean {close[0]}?" if close else "see configs/train_config.yaml for the known keys."
    return f"There is no setting '{key}'; {hint}"
