"""Medians, quartiles and per-round comparisons: all the statistics of the benches. Pure functions.

Rounds are compared, not totals: a machine that drifts does so for both arms of a round (A B A B). A round without
a figure (None) is left out, and tables state the number of rounds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Quartiles(NamedTuple):
    low: float
    middle: float
    high: float
    rounds: int


def quantile(values: Iterable[float], part: float) -> float | None:
    """Returns the value below which `part` (0..1) of them lie, between the two closest ranks; None if there are none.
    """
    ordered = sorted(values)
    return _between(ordered, part) if ordered else None


def _between(ordered: Sequence[float], part: float) -> float:
    at = part * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (at - below)


def median(values: Iterable[float]) -> float | None:
    return quantile(values, 0.5)


def quartiles(values: Iterable[float | None]) -> Quartiles | None:
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    return Quartiles(_between(known, 0.25), _between(known, 0.5), _between(known, 0.75), len(known))


def differences(base: Sequence[float | None], other: Sequence[float | None]) -> list[float | None]:
    """Returns other - base, round by round."""
    return [None if a is None or b is None else b - a for a, b in zip(base, other, strict=True)]


def ratios(base: Sequence[float | None], other: Sequence[float | None]) -> list[float | None]:
    """Returns other / base, round by round; None where the base is zero."""
    return [None if not a or b is None else b / a for a, b in zip(base, other, strict=True)]


def per_million(count: int, of: int) -> float | None:
    return 1e6 * count / of if of else None


def effective_blocked_ms(lost: int, rate_pps: float) -> float | None:
    """Returns CSIT's effective blocked time: the time in which this rate offers the number of lost packets."""
    return 1e3 * lost / rate_pps if rate_pps else None
