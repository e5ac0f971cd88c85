"""Curves as SVG, by matplotlib. The same points give the same file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Point(NamedTuple):
    """A median and, if known, the quartiles around it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def curves(path: Path, title: str, x_label: str, y_label: str, series: Mapping[str, Sequence[Point]],
           log_x: bool = False) -> Path:
    """Draws one line for each of `series`, with a band from quartile to quartile; y begins at 0. `log_x` keeps a point
    at x = 0: the axis is linear up to the smallest x above it."""
    import matplotlib  # here, since only benches that draw need it

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "sluice"  # without it names in the file are random
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5))
    for name, points in series.items():
        line, = axes.plot([p.x for p in points], [p.y for p in points], marker="o", markersize=4, label=name)
        axes.fill_between([p.x for p in points], [p.y if p.low is None else p.low for p in points],
                          [p.y if p.high is None else p.high for p in points], color=line.get_color(), alpha=0.2)
    if log_x:
        above = [p.x for points in series.values() for p in points if p.x > 0]
        axes.set_xscale("symlog", linthresh=min(above, default=1))
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    pyplot.close(figure)
    return path
