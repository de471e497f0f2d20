"""How the package holds together: its size at the top, what imports what, and what is imported late."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import recruiter

FOLDER = Path(recruiter.__file__).parent
# From the ground up: a module may import what stands in its own row or above it here.
LAYERS = (
    ("errors", "config", "files", "cli.terminal"),
    ("rubric", "roles", "objective"),
    ("prompts", "roles.dataset"),
    ("engines", "llm"),
    ("judges", "human_feedback", "roles.completing"),
    ("reward",),
    ("train", "metrics_logger", "env"),
    ("writers",),
    ("evaluation",),
    ("report",),
    ("deploy",),
    ("export",),
    ("cli",),
    ("skyrl",),
    ("main",),
)
# Imports within functions: what takes long (torch, transformers, Ray), or only some runs need. None dodges a circle.
MOST_LATE_IMPORTS = 60


class Import(NamedTuple):
    """`importer` imports `imported`, both as names within the package; `is_late`: within a function."""

    importer: str
    imported: str
    is_late: bool


@cache
def imports() -> tuple[Import, ...]:
    """Every import of one module of the package by another, but for those that only serve types."""
    files = {_name(path): path for path in FOLDER.rglob("*.py") if "shim" not in path.parts}

    def found(importer: str, node: ast.AST, is_late: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.ImportFrom) and (child.module or "").split(".")[0] == "recruiter":
                module = (child.module or "").removeprefix("recruiter").removeprefix(".")
                for name in child.names:
                    whole = f"{module}.{name.name}".removeprefix(".")
                    yield Import(importer, whole if whole in files else module, is_late)
            yield from found(importer, child, is_late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))

    return tuple(
        each
        for name, path in files.items()
        for each in found(name, ast.parse(path.read_text(encoding="utf-8")), False)
        if each.imported != name
    )


def _name(path: Path) -> str:
    return ".".join(path.relative_to(FOLDER).with_suffix("").parts).removesuffix("__init__").removesuffix(".")


def _layer(module: str) -> int:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        for number, row in enumerate(LAYERS):
            if ".".join(parts[:length]) in row:
                return number
    raise AssertionError(f"{module} stands in no layer; give it one.")


def test_top_level_has_at_most_25_entries() -> None:
    assert len([path for path in FOLDER.iterdir() if path.name != "__pycache__"]) <= 25


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for each in imports():
        graph.setdefault(each.importer, set()).add(each.imported)
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_no_import_runs_up() -> None:
    inside = [each for each in imports() if each.importer and each.imported]  # "": the package, which has no layer
    assert [each for each in inside if _layer(each.imported) > _layer(each.importer)] == []


@pytest.mark.parametrize(
    ("what", "places"),
    [
        (r"\bConsole\(", {"cli/terminal.py", "writers/formats.py"}),  # without markup; formats.py prints into a text
        (r"\basyncio\.run\(", {"llm/loop_thread.py", "skyrl/run.py"}),  # also in a notebook; SkyRL has its own process
        (r"\bcsv\.(DictW|w)riter\(", {"files.py", "report/sheet.py"}),  # without formulas; the sheet has comments
    ],
)
def test_what_is_done_in_one_place(what: str, places: set[str]) -> None:
    files = {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")}
    assert {name for name, text in files.items() if re.search(what, text)} == places


def test_late_imports_are_counted() -> None:
    assert sum(each.is_late for each in imports()) <= MOST_LATE_IMPORTS
