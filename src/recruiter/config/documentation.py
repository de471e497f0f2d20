"""The tables of docs/configuration.md, made from the schema: `python -m recruiter.config.documentation` renews them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from omegaconf import MISSING

from recruiter.config import SETTINGS, Config
from recruiter.config.paths import WORKSPACE
from recruiter.config.setting import Setting, format_value, listed, sections, settings

PAGE = WORKSPACE / "docs/configuration.md"
_GENERATED = re.compile(r"(?<=<!-- made by recruiter.config.documentation -->\n).*(?=<!-- end -->)", re.DOTALL)
_HEAD = "| key | value | default | may change | meaning |\n| --- | --- | --- | --- | --- |\n"


def renewed(page: str) -> str:
    """The page's text with the tables that the schema gives."""
    made = "\n\n".join(_tables())
    return _GENERATED.sub(lambda _: f"\n{made}\n\n", page)


def _tables() -> Iterator[str]:
    yield "## Top level\n\n" + _HEAD + "\n".join(_row(entry) for key, entry in SETTINGS.items() if "." not in key)
    for name, section in sections(Config).items():
        entries = [entry for key, entry in SETTINGS.items() if key.rpartition(".")[0] == name]
        if entries:
            text = inspect.cleandoc(section.__doc__ or "")
            about = "" if text.startswith(f"{section.__name__}(") else f"{text}\n\n"  # what `dataclass` writes
            yield f"## {name}\n\n{about}{_HEAD}" + "\n".join(map(_row, entries))
    for name, kind in listed(Config).items():
        (base,) = kind.__bases__
        own = [
            entry for key, entry in settings(kind, f"{name}.0.").items() if key.rpartition(".")[2] not in settings(base)
        ]
        yield f"## {name}\n\n{inspect.cleandoc(kind.__doc__ or '')}\n\n{_HEAD}" + "\n".join(map(_row, own))


def _row(entry: Setting) -> str:
    default = "required" if entry.default == MISSING else f"`{format_value(entry.default)}`"
    cells = (f"`{entry.key}`", entry.wanted, default, "yes" if entry.may_change is True else "", entry.description)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
