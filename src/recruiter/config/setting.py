"""A setting: everything that is known of one, at the field that declares it.

A section is a dataclass whose fields are made by `setting`. From these fields come the checks of single values (pydantic
reads the ranges), the sentence about a value that cannot work, what a run may be continued with, what SkyRL calls the
setting, and the tables of docs/configuration.md.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import typing
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from recruiter.errors import ConfigError

SAME = "same"  # SkyRL has the setting under the same name
OURS = "ours"  # SkyRL does not hear of it; our part of `skyrl/` acts on it
ADDRESS = r"https?://[^\s/@]+(?:/\S*)?"  # of a server, without a user name


S = TypeVar("S")


class Section:
    """Base of the sections: how pydantic reads their fields."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(coerce_numbers_to_str=True)


def setting(default: Any, description: str, *, secret: bool = False, **facts: Any) -> Any:
    """A field of a section; `default` is MISSING if there is none, `facts` are attributes of `Setting`."""
    metadata = {"description": description, **facts}  # pydantic takes what it knows from there
    if isinstance(default, (list, dict)):
        return dataclasses.field(default_factory=lambda: copy.deepcopy(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata, repr=not secret)


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting of a schema.

    Attributes:
        key: its dotted name.
        kind: its type annotation; choices are a `Literal`.
        default: MISSING if it has none.
        secret: whether its value is never shown.
        description: what it is, on one line, as the documentation says it.
        ge, gt, le, pattern, min_length: which values are possible, in pydantic's words.
        instead: what to write, where range and type do not say it.
        because: why other values are impossible, where that is not plain.
        may_change: whether a run may be continued with another value; of a mapping, the beginnings of keys that may.
        skyrl: `SAME`, `OURS` or SkyRL's name for it; None where the engine plays no part.
        variable: the environment variable that holds it.
    """

    key: str
    kind: Any
    default: Any
    secret: bool
    description: str
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    pattern: str | None = None
    min_length: int | None = None
    instead: str | None = None
    because: str | None = None
    may_change: bool | tuple[str, ...] = False
    skyrl: str | None = None
    variable: str | None = None

    @property
    def kinds(self) -> list[Any]:
        """The types its values can have, null left out."""
        choices = typing.get_args(self.kind) if NoneType in typing.get_args(self.kind) else (self.kind,)
        return [kind for kind in choices if kind is not NoneType]

    @property
    def wanted(self) -> str:
        """What to write."""
        return self._wanted + (", or null" if NoneType in typing.get_args(self.kind) else "")

    @property
    def _wanted(self) -> str:
        (kind, *_), origin = self.kinds, typing.get_origin(self.kinds[0])
        if self.instead:
            return self.instead
        if origin is Literal:
            return f"one of {', '.join(typing.get_args(kind))}"
        if kind not in (int, float):
            return "true or false" if kind is bool else "a mapping" if origin is dict else "a text"
        text = "a whole number" if kind is int else "a number"
        text += (
            f", {self.ge:g} or more" if self.ge is not None else f" above {self.gt:g}" if self.gt is not None else ""
        )
        return text + ("" if self.le is None else f" and up to {self.le:g}")

    def refusal(self, value: Any, below: tuple[Any, ...] = (), spelled: Spelling | None = None) -> str:
        """The sentence about a value that cannot work; `below` leads to the wrong part of a mapping."""
        key, because = self.key, f": {self.because}" if self.because else ""
        if isinstance(value, dict) and below and below[0] in value:
            key, value = f"{key} of {below[0]}", value[below[0]]
        text = spelled(self, format_value(value)) if spelled else f"{key}={format_value(value)}"
        return f"{text} cannot work{because}; write {self.wanted}."


Spelling = Callable[[Setting, str], str]  # how the user wrote the value of a setting


def settings(schema: type, prefix: str = "") -> dict[str, Setting]:
    """Every setting of a schema by its dotted key, in the order of the schema."""
    kinds, found = typing.get_type_hints(schema, include_extras=True), {}
    for field in dataclasses.fields(schema):
        kind, key = kinds[field.name], prefix + field.name
        if dataclasses.is_dataclass(kind):
            found.update(settings(typing.cast(type, kind), key + "."))
        else:
            made = field.default_factory
            default = field.default if made is dataclasses.MISSING else made()
            found[key] = Setting(key, kind, default, not field.repr, **field.metadata)
    return found


def listed(schema: type, prefix: str = "") -> dict[str, type]:
    """The settings that are lists of sections, by dotted key: the type of an entry."""
    return {key: kind for key, entry in settings(schema, prefix).items() if (kind := _entry_kind(entry.kind))}


def _entry_kind(kind: Any) -> type | None:
    (inner, *_) = typing.get_args(kind) or (None,)
    return inner if typing.get_origin(kind) is list and dataclasses.is_dataclass(inner) else None  # type: ignore[return-value]


def sections(schema: type, prefix: str = "") -> dict[str, type]:
    """Every section of a schema by its dotted key."""
    kinds, found = typing.get_type_hints(schema), {}
    for field in dataclasses.fields(schema):
        if dataclasses.is_dataclass(kind := kinds[field.name]):
            found[prefix + field.name] = typing.cast(type, kind)
            found.update(sections(typing.cast(type, kind), f"{prefix}{field.name}."))
    return found


def validate(schema: type[S], values: Mapping[str, Any], spelled: Spelling | None = None) -> S:
    """`values` as the schema's type, each checked by itself.

    Args:
        values: by name, sections within each other.
        spelled: how the user wrote a value; by default as `key=value`.

    Raises:
        ConfigError: a value has the wrong type or is out of its range.
    """
    known = settings(schema)
    for key, kind in listed(schema).items():
        entries = find(values, key)
        for index in range(len(entries) if isinstance(entries, list) else 0):
            known |= settings(kind, f"{key}.{index}.")
    for key, entry in known.items():
        value = find(values, key)
        is_bool = isinstance(value, bool) and {int, float} & set(entry.kinds)  # to Python, true is 1
        is_endless = isinstance(value, float) and not math.isfinite(value)
        if is_bool or is_endless or (isinstance(value, str) and not value.strip()):
            raise ConfigError(entry.refusal(value, spelled=spelled))
    try:
        return TypeAdapter(schema).validate_python(values)
    except ValidationError as error:
        path = error.errors(include_url=False)[0]["loc"]
    parts = next((n for n in range(len(path), 0, -1) if ".".join(map(str, path[:n])) in known), None)
    if parts is None:
        section = ".".join(map(str, path))
        inside = next(key for key in known if key.startswith(section))
        raise ConfigError(f"{section} is a section, not a value; write its settings, such as {inside}=….")
    entry = known[".".join(map(str, path[:parts]))]
    raise ConfigError(entry.refusal(find(values, entry.key), path[parts:], spelled))


def find(values: Any, key: str) -> Any:
    """The value of a dotted key in nested mappings, sections and lists; None if there is none."""
    for name in key.split("."):
        if isinstance(values, list):
            values = values[int(name)] if name.isdecimal() and int(name) < len(values) else None
        else:
            values = values.get(name) if isinstance(values, Mapping) else getattr(values, name, None)
    return values


def format_value(value: Any) -> str:
    """A value as a user writes it: `null`, `true`, `{input: 0.2}`."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {format_value(part)}" for key, part in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(format_value, value))}]"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
