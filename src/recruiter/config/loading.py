"""Settings from files and the command line: composed by Hydra, checked before anything heavy is loaded.

`load_config` returns a `Config` or raises a `ConfigError` whose one sentence names the key, the value and what to write
instead.
"""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Sequence, Set
from pathlib import Path
from typing import Any, cast

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recruiter.config import SETTINGS, Config, ListedJudgeConfig, to_dict
from recruiter.config.checks import BOTH, checked
from recruiter.config.paths import CONFIGS, WORKSPACE
from recruiter.config.setting import find, format_value, listed, sections, settings
from recruiter.errors import ConfigError
from recruiter.files import read_text, yaml_fault

_IN_LIST = re.compile(r"judges\.\d+\.\w")  # a setting of one of several judges
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
    for item in overrides:
        _check_override(item)
    in_list = [item for item in overrides if _IN_LIST.match(item)]
    try:
        with initialize_config_dir(str(folder.resolve()), version_base="1.3"):
            composed = _compose(name, whole := [item for item in overrides if item not in in_list])
            in_file = find(OmegaConf.to_container(composed), "trainer.policy.model.lora")
            if in_file and isinstance(in_file, dict):
                spelled_as_skyrl = [
                    f"trainer.policy.lora.{key}={format_value(value)}" for key, value in in_file.items()
                ]
                composed = _compose(name, [*spelled_as_skyrl, *whole])
        missing = sorted(OmegaConf.missing_keys(composed))
        if missing:
            raise ConfigError(f"{missing[0]} is not set; write {missing[0]}=<value>.")
        values = cast(dict[str, Any], OmegaConf.to_container(composed, resolve=True))
        for item in in_list:
            _set_in_list(values, item)
    except MissingConfigException:
        names = sorted(path.stem for path in folder.glob("*.yaml") if "\ndefaults:" in f"\n{read_text(path)}")
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
    _choose_judges(values, {item.partition("=")[0] for item in overrides})
    return checked(values)


def _check_override(item: str) -> None:
    """Refuse what Hydra cannot read, or would use for something else, in a sentence that says what to write."""
    key, _, value = item.partition("=")
    if item.startswith("+"):
        raise ConfigError(f"{item} cannot work: every setting exists already; write {item.lstrip('+')}.")
    if item.startswith("~"):
        raise ConfigError(f"{item} cannot work: a setting can be changed, not taken away; write {key[1:]}=<value>.")
    if re.match(r"hydra\b", key):
        raise ConfigError(f"{item} cannot work: Hydra reads settings here and runs nothing; leave it out.")
    escaped = re.sub(r'(\\*)"', r'\1\1\\"', value)
    if value[:1] not in ("", "[", "{") and not _is_readable(item) and _is_readable(quoted := f'{key}="{escaped}"'):
        raise ConfigError(
            f"{item} is not valid: a value with such signs stands in quotation marks, inside those of the shell; write "
            f"{shlex.quote(quoted)}."
        )


def _is_readable(override: str) -> bool:
    try:
        return not OverridesParser.create().parse_override(override).is_sweep_override()
    except HydraException:
        return False


def _set_in_list(values: dict[str, Any], override: str) -> None:
    """Set one setting of one judge of a list, the next one included: Hydra changes lists only as a whole."""
    parsed = OverridesParser.create().parse_override(override)
    place, index, *path = parsed.key_or_group.split(".")
    entries, number = values[place], int(index)
    if not isinstance(entries, list) or number > len(entries):
        raise ConfigError(f"{override} cannot work: there is no {place}.{max(0, number - 1)} before it.")
    added: Any = parsed.value()
    for name in reversed(path):
        added = {name: added}
    entry = OmegaConf.merge(*entries[number : number + 1], added)
    values[place] = [*entries[:number], OmegaConf.to_container(entry, resolve=True), *entries[number + 1 :]]


def _choose_judges(values: dict[str, Any], overridden: Set[str]) -> None:
    """Let those whom the command line names judge instead of those whom the files name: one, or several.

    Raises:
        ConfigError: the command line names one and several.
    """
    sections_set = {key.partition(".")[0] for key in overridden}
    if not values["judges"]:
        return
    if {"judge", "judges"} <= sections_set:
        raise ConfigError(BOTH)
    if "judges" in sections_set:
        values["judge"] = to_dict(Config())["judge"]
    elif "judge.provider" in overridden:
        values["judges"] = []


def _compose(name: str, overrides: Sequence[str]) -> DictConfig:
    """`++` sets a key whether or not it exists, and adds to a mapping; what is unknown is refused afterwards."""
    place = re.sub(r"(\\*)'", r"\1\1\\'", str(CONFIGS))
    return compose(
        config_name=name, overrides=[f"hydra.searchpath=['file://{place}']", *(f"++{item}" for item in overrides)]
    )


def _take_unknown(values: dict[str, Any]) -> dict[str, Any]:
    """Remove what the schema lacks from `values`; return its leaves under their dotted names."""
    known_sections, lists, found = sections(Config), listed(Config), {}

    def take(node: dict[str, Any], prefix: str) -> None:
        for name in list(node):
            key = f"{prefix}{name}"
            if key in known_sections and isinstance(node[name], dict):
                take(node[name], f"{key}.")
            elif key in lists and isinstance(node[name], list):
                known = settings(lists[key])
                for index, entry in enumerate(node[name]):
                    for part in [part for part in entry if part not in known] if isinstance(entry, dict) else ():
                        found.update(leaves(entry.pop(part), f"{key}.{index}.{part}"))
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
    if isinstance(cause, yaml.MarkedYAMLError) and cause.problem_mark:
        return yaml_fault(cause.problem_mark.name, cause)
    message = str(cause).split("\n")[0].rstrip(".").replace("++", "")
    for override in overrides:
        key, _, value = override.partition("=")
        if not key or override in str(error) or (value and f"'{value}'" in message):
            return f"{override} is not valid: {message}."
    key = str(getattr(cause, "full_key", "") or "")
    return f"{key or f'The configuration {name}.yaml'} is not valid: {message}."


def _unknown_setting(key: str) -> str:
    """The sentence about a key that does not exist, with the one that was likely meant."""
    if _IN_LIST.match(key):
        known, _, last = key.rpartition(".")
        close = difflib.get_close_matches(last, settings(ListedJudgeConfig), n=1, cutoff=0.6)
        return f"There is no setting '{key}'; " + (
            f"did you mean {known}.{close[0]}?" if close else "see docs/judges.md for the settings of a judge."
        )
    by_ending = {item.rsplit(".", 1)[-1]: item for item in SETTINGS}
    close = difflib.get_close_matches(key, SETTINGS, n=1, cutoff=0.75) or [
        by_ending[match] for match in difflib.get_close_matches(key.rsplit(".", 1)[-1], by_ending, n=1, cutoff=0.7)
    ]
    hint = f"did you mean {close[0]}?" if close else "see configs/train_config.yaml for the known keys."
    return f"There is no setting '{key}'; {hint}"
