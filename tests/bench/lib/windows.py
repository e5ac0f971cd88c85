"""Divides a resize's time among its steps, from last_resize as the agent reports it. Pure functions.

The window is blocked_ns: from the beginning of the step that takes XDP off to the end of the step that puts it back.
Steps before and after it take time too, but packets take their usual way meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.bench.lib import figures
from tests.bench.lib.table import Table

OPENS, CLOSES = "take XDP off", "put XDP back"
COLUMNS = ("way and step", "in window", "times", "p50 ms", "max ms", "of the window")


def steps_in_window(resize: dict[str, Any]) -> list[tuple[str, int, bool]]:
    """Returns (step, took_ns, whether it is in the window). Without the two named steps, all steps are in it."""
    steps = [(step["step"], step["took_ns"]) for step in resize.get("steps", [])]
    names = [name for name, _ in steps]
    first = next((at for at, name in enumerate(names) if name.startswith(OPENS)), None)
    last = next((at for at, name in enumerate(names) if name.startswith(CLOSES)), None)
    if first is None or last is None:
        first, last = 0, len(steps) - 1
    return [(name, ns, first <= at <= last) for at, (name, ns) in enumerate(steps)]


def window_ms(resizes: Iterable[dict[str, Any]]) -> list[float]:
    return [resize["blocked_ns"] / 1e6 for resize in resizes]


def attribute(table: Table, way: str, resizes: Sequence[dict[str, Any]]) -> None:
    """Adds rows to a table with COLUMNS: each step, the time between the steps, and the window itself."""
    took: dict[str, list[float]] = {}
    inside: dict[str, bool] = {}
    rest = []
    for resize in resizes:
        steps = steps_in_window(resize)
        for name, ns, within in steps:
            took.setdefault(name, []).append(ns / 1e6)
            inside[name] = within
        rest.append((resize["blocked_ns"] - sum(ns for _, ns, within in steps if within)) / 1e6)
    windows = window_ms(resizes)
    whole = sum(windows)

    def row(name: str, within: bool, times: list[float]) -> None:
        share = f"{100 * sum(times) / whole:.0f} %" if within and whole else None
        table.add(f"{way}: {name}", "yes" if within else "no", len(times), figures.median(times), max(times), share)

    for name, times in took.items():
        row(name, inside[name], times)
    if windows:
        if any(rest):
            row("between the steps", True, rest)
        row("the window", True, windows)
