"""The tables of the 2012 series: N queue pairs against one, by size and sessions. Pure functions.

The series' columns are size, sessions, throughput of both, %, throughput for each CPU (`norm`) of both, and %. Here the
percentages are the medians of the ratios round by round, with their quartiles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tests.bench.lib import figures
from tests.bench.lib.table import Table
from tests.bench.seed.loads import UNITS, Cell

ONE, AGAIN, AUTO = "1 pair", "1 pair again", "auto"
COLUMNS = ("size/sessions", "rounds", "1 pair", "other", "%", "q1", "q3", "norm 1", "norm", "% ", "q1 ", "q3 ",
           "pairs")
_VERDICT_COLUMNS = ("load, arm", "cells", "lowest %", "at size/sessions", "below", "highest %", "lowest norm %",
                    "at size/sessions ", "below ")


# With less a median is the worst round, or nearly.
_LEAST_ROUNDS = 3


def arm_name(pairs: int) -> str:
    return ONE if pairs == 1 else f"{pairs} pairs"


@dataclass
class Sample:
    """One measurement of one arm. Without a figure it has the reason."""

    throughput: float = 0.0
    norm: float = 0.0  # throughput for each core that is used
    pairs: int = 0
    strangers: float = 0.0  # per cent of a core that other processes used
    failed: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


Samples = Mapping[Cell, Mapping[str, Sequence[Sample]]]  # by cell and arm; one for each round


def whole_rounds(samples: Mapping[Cell, Mapping[str, list[Sample]]]) -> dict[Cell, dict[str, list[Sample]]]:
    """Returns the rounds that each cell has of every arm, without cells that have none."""
    counts = {cell: min(map(len, arms.values())) for cell, arms in samples.items()}
    return {cell: {arm: made[:counts[cell]] for arm, made in arms.items()}
            for cell, arms in samples.items() if counts[cell]}


def _figures(samples: Sequence[Sample], what: str) -> list[float | None]:
    return [None if one.failed else getattr(one, what) for one in samples]


def change(base: Sequence[Sample], arm: Sequence[Sample], what: str) -> figures.Quartiles | None:
    """Returns the quartiles of arm / base, round by round, in per cent above or below."""
    ratios = figures.ratios(_figures(base, what), _figures(arm, what))
    return figures.quartiles(None if ratio is None else 100 * (ratio - 1) for ratio in ratios)


def against_one(where: str, load: str, arm: str, samples: Samples) -> Table:
    """Makes the series' table of one load: an arm against one pair."""
    table = Table(f"{load}, {arm} against {ONE}: {where}, {UNITS[load]}", COLUMNS)
    for cell, arms in samples.items():
        if cell.load != load or arm not in arms:
            continue
        name = f"{cell.size}/{cell.sessions}"
        throughput, norm = (change(arms[ONE], arms[arm], what) for what in ("throughput", "norm"))
        if throughput is None or norm is None:
            reasons = [one.failed for one in (*arms[arm], *arms[ONE]) if one.failed]
            table.add(name, f"did not run: {reasons[-1] if reasons else 'no round was complete'}")
            continue
        medians = [figures.median(one for one in _figures(arms[of], what) if one is not None)
                   for what in ("throughput", "norm") for of in (ONE, arm)]
        pairs = figures.median(one.pairs for one in arms[arm] if not one.failed)
        table.add(name, throughput.rounds, *medians[:2], *_spread(throughput), *medians[2:], *_spread(norm), pairs)
        if failed := [one.failed for one in arms[arm] if one.failed]:
            table.notes.append(f"{name}: {len(failed)} of {len(arms[arm])} failed, the last with: {failed[-1]}")
    return table


def _spread(found: figures.Quartiles) -> tuple[float, float, float]:
    """Returns the median first, as in the series' tables."""
    return found.middle, found.low, found.high


def _lowest(samples: Samples, load: str, arm: str, what: str) -> list[tuple[float, Cell]]:
    """Returns the median changes of an arm's cells, the lowest first."""
    found = ((change(arms[ONE], arms[arm], what), cell) for cell, arms in samples.items()
             if cell.load == load and arm in arms)
    return sorted((quartiles.middle, cell) for quartiles, cell in found if quartiles is not None)


def verdict(where: str, samples: Samples) -> Table:
    """Makes the table that says how many cells of each arm are below one pair by more than the noise: by more than the
    lowest cell that one pair measured against itself has in the same load."""
    table = Table(f"Cells below {ONE} by more than its noise: {where}", _VERDICT_COLUMNS)
    below_with_auto = 0
    for load in dict.fromkeys(cell.load for cell in samples):
        noise = {what: min([0.0, *(percent for percent, _ in _lowest(samples, load, AGAIN, what))])
                 for what in ("throughput", "norm")}
        for arm in dict.fromkeys(arm for arms in samples.values() for arm in arms if arm != ONE):
            throughput, norm = (_lowest(samples, load, arm, what) for what in ("throughput", "norm"))
            if not throughput:
                continue
            below = [sum(percent < noise[what] for percent, _ in cells)
                     for what, cells in (("throughput", throughput), ("norm", norm))]
            below_with_auto += sum(below) if arm == AUTO else 0
            table.add(f"{load}, {arm}", len(throughput), throughput[0][0], _place(throughput), below[0],
                      throughput[-1][0], norm[0][0], _place(norm), below[1])
    rounds = min((len(made) for arms in samples.values() for made in arms.values()), default=0)
    if rounds < _LEAST_ROUNDS:
        table.notes.append(f"no judgement by less than {_LEAST_ROUNDS} rounds")
    elif any(AUTO in arms for arms in samples.values()):
        table.notes.append("the goal is met: no cell of auto is below one pair" if not below_with_auto else
                           f"the goal is MISSED: {below_with_auto} figures of auto are below one pair")
    return table


def _place(cells: Sequence[tuple[float, Cell]]) -> str:
    cell = cells[0][1]
    return f"{cell.size}/{cell.sessions}"
