"""The documents agree with the code: every setting is described as it is, and links lead somewhere."""

import re
from collections.abc import Iterator
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

import omegaconf
import pytest
import yaml

from recruiter.config import REPOSITORY, Config

CONFIGURATION = REPOSITORY / "docs/configuration.md"
ROW = re.compile(r"^\| `(?P<key>[a-z_.]+)` \| (?P<type>[a-z ]+) \| (?P<default>`[^`]*`|required) \| .+ \|$")
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)>\s]+)|(?:src|href)=[\"']([^\"']+)[\"']")
SECTIONS = "|".join(field.name for field in fields(Config))
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def settings(schema: type, prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """Key, type in words and default of every leaf of the schema."""
    hints = get_type_hints(schema)
    for field in fields(schema):
        hint, key = hints[field.name], prefix + field.name
        if is_dataclass(hint):
            yield from settings(hint, key + ".")
        else:
            default = field.default if field.default_factory is NO_DEFAULT else field.default_factory()
            yield key, in_words(hint), default


def in_words(hint: Any) -> str:
    """`list[float] | None` as a reader would say it: list of float or null."""
    text = hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)
    text = re.sub(r"list\[(\w+)\]", r"list of \1", re.sub(r"dict\[[^\]]*\]", "mapping", text))
    return text.replace(" | None", " or null")


def documented() -> dict[str, tuple[str, Any]]:
    """Type and default of every key in the tables of the page."""
    found = {}
    for line in CONFIGURATION.read_text(encoding="utf-8").splitlines():
        if match := ROW.match(line):
            assert match["key"] not in found, f"{match['key']} stands in the page twice"
            shown = match["default"]
            found[match["key"]] = (match["type"], omegaconf.MISSING if shown == "required" else read(shown.strip("`")))
        else:
            assert not re.match(rf"^\| `({SECTIONS})\.", line), f"not a row of key, type, default and meaning: {line}"
    return found


def read(text: str) -> Any:
    """A value as YAML reads it."""
    return yaml.safe_load(text)


def test_every_setting_is_documented_with_its_type_and_default() -> None:
    assert documented() == {key: (kind, default) for key, kind, default in settings(Config)}


def test_settings_stand_in_the_section_they_belong_to() -> None:
    section, seen = "", set()
    for line in CONFIGURATION.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif match := ROW.match(line):
            assert f"{match['key']}.".startswith(section + "."), f"{match['key']} stands under '{section}'"
            seen.add(section)
    assert {section.split(".")[0] for section in seen} == {field.name for field in fields(Config)}


@pytest.mark.parametrize("name", sorted(path.name for path in (REPOSITORY / "configs").glob("*.yaml")))
def test_every_mode_is_documented(name: str) -> None:
    assert f"| `{name}` |" in CONFIGURATION.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_that_exist(page: str) -> None:
    path = REPOSITORY / page
    assert path.is_file(), f"{page} is missing"
    links = [a or b for a, b in LINK.findall(FENCE.sub("", path.read_text(encoding="utf-8")))]
    broken = [link for link in links if not leads_somewhere(path, link)]
    assert not broken, f"{page} links to what is not there: {broken}"


def leads_somewhere(page: Path, link: str) -> bool:
    """Addresses elsewhere are taken on trust; a path must exist, and an anchor must be one of its headings."""
    if re.match(r"[a-z][a-z0-9+.-]*:", link):
        return True
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    if not target.exists() or not target.is_relative_to(REPOSITORY):
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target)


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
