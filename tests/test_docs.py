"""The documents agree with the code: every setting is described as it is, and links lead somewhere."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from recruiter.config.documentation import PAGE, renewed
from tests import REPOSITORY

PAGES = ["README.md", "CONTRIBUTING.md", *sorted(f"docs/{path.name}" for path in (REPOSITORY / "docs").glob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)>\s]+)|(?:src|href)=[\"']([^\"']+)[\"']")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def test_the_tables_of_settings_are_those_of_the_schema() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == renewed(page), "renew them: python -m recruiter.config.documentation"


@pytest.mark.parametrize("name", sorted(path.name for path in (REPOSITORY / "configs").glob("*_config.yaml")))
def test_every_mode_is_documented(name: str) -> None:
    assert f"| `{name}` |" in PAGE.read_text(encoding="utf-8")


def test_hosted_ci_covers_every_python_that_is_supported() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    hosted = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    versions = hosted["jobs"]["check"]["strategy"]["matrix"]["python"]
    first, last = re.findall(r"3\.(\d+)", project["requires-python"])
    assert versions == [f"3.{minor}" for minor in range(int(first), int(last))]


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
