"""Cells: how tables write figures, and what a table is."""

from __future__ import annotations

from dataclasses import dataclass

from recruiter.evaluation.estimates import Estimate

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A title, column names, and rows of cells. `is_long` ones are folded away in Markdown and left out on a terminal."""

    title: str
    columns: list[str]
    rows: list[list[str]]
    is_long: bool = False

    def markdown(self) -> str:
        """The table without its title."""
        lines = [
            f"| {' | '.join(self.columns)} |",
            "| --- |" + " ---: |" * (len(self.columns) - 1),
            *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in self.rows),
        ]
        return "\n".join(lines)


def interval(estimate: Estimate | None, sign: str = "") -> str:
    """A mean with its interval, or with the number of roles where that is too small for one."""
    if estimate is None:
        return NOTHING
    if estimate.low is None or estimate.high is None:
        return f"{estimate.mean:{sign}.1f}, {count(estimate.roles, 'role')}"
    until = " to " if sign else "–"
    return f"{estimate.mean:{sign}.2f} ({estimate.low:{sign}.1f}{until}{estimate.high:{sign}.1f})"


def mean(estimate: Estimate | None, digits: int = 2) -> str:
    """A mean."""
    return number(estimate.mean if estimate else None, digits)


def share(estimate: Estimate | None, with_interval: bool = False) -> str:
    """A share in percent."""
    if estimate is None:
        return NOTHING
    if not with_interval or estimate.low is None or estimate.high is None:
        return f"{estimate.mean:.0%}"
    return f"{estimate.mean:.0%} ({estimate.low:.0%} to {estimate.high:.0%})"


def number(value: float | None, digits: int, sign: str = "") -> str:
    """A figure with so many digits."""
    return NOTHING if value is None else f"{value:{sign}.{digits}f}"


def percent(value: float | None) -> str:
    """A share in percent."""
    return NOTHING if value is None else f"{value:.0%}"


def p_value(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def count(number: int, noun: str) -> str:
    """How many of what."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
