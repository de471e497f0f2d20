"""How all plots look, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from recruiter.files import replaced

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e", "#a463f2", "#97bbf5", "#9498a0")
LINES = ("-", "--", ":")
STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "legend.frameon": False,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "recruiter",  # the same figures give the same file
}


def grid_of(panels: int, columns: int, width: float = 4.0, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels, at most `columns` in a row."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width * columns, height * rows), constrained_layout=True, squeeze=False
    )
    for unused in axes.flat[panels:]:
        unused.remove()
    return figure, list(axes.flat[:panels])


def colour(index: int) -> str:
    """Colour of the n-th series; they repeat after the last."""
    return COLOURS[index % len(COLOURS)]


def save(figure: Figure, target: Path) -> list[Path]:
    """Write a figure as PNG and SVG beside `target`, which has no suffix, each renamed into its place."""
    written = []
    for suffix in ("png", "svg"):
        path = target.with_name(f"{target.name}.{suffix}")
        with replaced(path) as beside:
            figure.savefig(beside, dpi=150, format=suffix, metadata={"Date": None} if suffix == "svg" else None)
        written.append(path)
    plt.close(figure)
    return written
