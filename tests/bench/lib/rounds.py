"""Arms measured in turn, A B A B ..., and the table that compares them round by round."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tests.bench.lib import figures
from tests.bench.lib.table import Table
from tests.bench.lib.traffic import Stream

Arm = Callable[[], Stream]
COMPARED = {
    "lost per million": lambda s: figures.per_million(s.lost, s.sent),
    "reordered per million": lambda s: figures.per_million(s.reordered, s.sent),
    "duplicated per million": lambda s: figures.per_million(s.duplicated, s.sent),
    "blocked ms": lambda s: s.blocked_ms,
}


def interleave(arms: dict[str, Arm], rounds: int, say: Callable[[str], None]) -> dict[str, list[Stream]]:
    """Each arm once per round, in the order given."""
    streams: dict[str, list[Stream]] = {name: [] for name in arms}
    for number in range(1, rounds + 1):
        for name, measure in arms.items():
            streams[name].append(measure())
        said = ", ".join(f"{name} lost {made[-1].lost} reordered {made[-1].reordered} blocked"
                         f" {made[-1].blocked_ms:.1f} ms" for name, made in streams.items())
        say(f"round {number} of {rounds}: {said}")
    return streams


def comparison(title: str, streams: dict[str, Sequence[Stream]], base: str, others: Sequence[str]) -> Table:
    """Each of `others` against `base`, of the same rounds: differences, and ratios where the base is not zero."""
    table = Table(title, ("per-round difference and ratio", "rounds", "diff q1", "median", "q3", "ratio q1",
                          "median ", "q3 ", "rounds "))
    for name in others:
        for what, of in COMPARED.items():
            one, two = [of(s) for s in streams[base]], [of(s) for s in streams[name]]
            difference = figures.quartiles(figures.differences(one, two))
            ratio = figures.quartiles(figures.ratios(one, two))
            if difference is None:
                continue
            table.add(f"{name} against {base}: {what}", difference.rounds, *difference[:3],
                      *(ratio[:3] if ratio else (None, None, None)), ratio.rounds if ratio else 0)
    return table
