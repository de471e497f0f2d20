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
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from recruiter.config import CONFIG_FOLDER, Config
from recruiter.config.checks import check_config
from recruiter.errors import ConfigError

_SHARED = ("trainer", "generator")  # sections in which SkyRL has keys too


def load_config(name: str, overrides: Sequence[str] = (), folder: Path = CONFIG_FOLDER) -> Config:
    """Compose `folder/name.yaml` with command-line overrides and check it.

    Raises:
        ConfigError: an unknown key, a wrong type, or a value that cannot work.
    """
    ConfigStore.instance().store(name="schema", node=_open_schema())
    overrides = [re.sub(r"^\+*trainer\.policy\.model\.lora\.", "trainer.policy.lora.", item) for item in overrides]
    added = next((item for item in overrides if item.startswith(("+", "~"))), None)
    if added is not None:
        raise ConfigError(f"{added} cannot work: every setting exists already; write {added.lstrip('+~')}.")
    try:
        with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            composed = compose(config_name=name)
            spelled_as_skyrl = [f"trainer.policy.lora.{k}={v}" for k, v in composed.trainer.policy.model.lora.items()]
            new_prices = [re.sub(r"^(?=judge\.prices)", "++", item) for item in overrides]  # of models not in the table
            composed = compose(config_name=name, overrides=[*spelled_as_skyrl, *new_prices])
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise ConfigError(f"{missing[0]} is not set; write {missing[0]}=<value>.")
        composed.skyrl = {**composed.skyrl, **_take_unknown(composed)}
        config = cast(Config, OmegaConf.to_object(composed))
    except MissingConfigException:
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        raise ConfigError(
            f"There is no configuration '{name}' in {folder}; choose one of {', '.join(names)}."
        ) from None
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        raise ConfigError(_explain(error, overrides, name)) from None
    if config.skyrl and config.engine != "skyrl":
        raise ConfigError(_unknown_setting(next(iter(config.skyrl))))
    check_config(config)
    return config


def _open_schema() -> DictConfig:
    """The schema; `trainer` and `generator` accept keys that it lacks, for some of them are SkyRL's."""

    def open_up(node: DictConfig) -> None:
        OmegaConf.set_struct(node, False)
        for name in node:
            if isinstance(child := node._get_node(name), DictConfig):
                open_up(child)

    schema = cast(DictConfig, OmegaConf.structured(Config))
    for section in _SHARED:
        open_up(schema[section])
    return schema


def _take_unknown(composed: DictConfig) -> dict[str, Any]:
    """Remove what the schema lacks from `composed`; return its leaves under their dotted names."""

    def take(node: Any, schema: dict[str, Any], prefix: str) -> None:
        for name in list(node):
            if name not in schema:
                found.update(leaves(cast(dict[str, Any], OmegaConf.to_container(node))[name], prefix + name))
                del node[name]
            elif isinstance(schema[name], dict) and schema[name]:
                take(node[name], schema[name], f"{prefix}{name}.")

    def leaves(value: Any, key: str) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            return {key: value}
        return {name: leaf for part in value for name, leaf in leaves(value[part], f"{key}.{part}").items()}

    found: dict[str, Any] = {}
    schema = cast(dict[str, Any], OmegaConf.to_container(OmegaConf.structured(Config)))
    with open_dict(composed):
        for section in _SHARED:
            take(composed[section], schema[section], f"{section}.")
    return found


def _explain(error: Exception, overrides: Sequence[str], name: str) -> str:
    """Turn Hydra's and OmegaConf's messages into one sentence that names the key."""
    cause: BaseException = error
    while isinstance(cause, HydraException):
        deeper = cause.__cause__ or cause.__context__
        if deeper is None or str(deeper) in ("", "None"):
            break
        cause = deeper
    message = str(cause).split("\n")[0].rstrip(".")
    key = str(getattr(cause, "full_key", "") or "")
    unknown = re.search(r"Key '([^']+)' (?:is )?not in", message)
    if unknown:
        return _unknown_setting(key or unknown.group(1))
    for override in overrides:
        changed, _, value = override.partition("=")
        unreadable = not changed or (value and f"'{value}'" in message)
        if key == changed or f"'{changed}'" in message or override in str(error) or unreadable:
            return f"{override} is not valid: {message}."
    return f"{key or f'The configuration {name}.yaml'} is not valid: {message}."


def _unknown_setting(key: str) -> str:
    """The sentence about a key that does not exist, with the one that was likely meant."""
    known = known_keys()
    ending = key.rsplit(".", 1)[-1]
    by_ending = {item.rsplit(".", 1)[-1]: item for item in known}
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75) or [
        by_ending[match] for match in difflib.get_close_matches(ending, list(by_ending), n=1, cutoff=0.7)
    ]
    hint = f"did you mean {close[0]}?" if close else "see configs/train_config.yaml for the known keys."
    return f"There is no setting '{key}'; {hint}"


def known_keys() -> list[str]:
    """The dotted name of every setting."""

    def walk(node: Any, prefix: str) -> list[str]:
        found: list[str] = []
        for name in node:
            child = node._get_node(name)
            found.extend(walk(child, f"{prefix}{name}.") if isinstance(child, DictConfig) else [prefix + name])
        return found

    return walk(OmegaConf.structured(Config), "")
