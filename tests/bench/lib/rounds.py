"""Arms measured in turn, A B A B ..., and the table that compares them round by round."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tests.bench.lib import figures
from tests.bench.lib.table import Table
from tests.bench.lib.traffic import Stream

Arm = Callable[[], Stream]
Figure = Callable[[Stream], float | None]
# For streams with many changes, which all take about the same time.
PER_MILLION: dict[str, Figure] = {
    "lost per million": lambda s: figures.per_million(s.lost, s.sent),
    "reordered per million": lambda s: figures.per_million(s.reordered, s.sent),
    "duplicated per million": lambda s: figures.per_million(s.duplicated, s.sent),
    "blocked ms": lambda s: s.blocked_ms,
}
# For streams with one change, which last as long as the change: its cost, not a part of the stream.
PER_CHANGE: dict[str, Figure] = {
    "effective blocked ms": lambda s: figures.effective_blocked_ms(s.lost, s.offered_pps),
    "reordered packets": lambda s: float(s.reordered),
    "duplicated packets": lambda s: float(s.duplicated),
    "blocked ms": lambda s: s.blocked_ms,
}
# A control arm that loses more than this was overloaded.
_CONTROL_LOST_PER_MILLION = 1000


def interleave(arms: dict[str, Arm], rounds: int, say: Callable[[str], None]) -> dict[str, list[Stream]]:
    """Measures each arm once per round, in the order given."""
    streams: dict[str, list[Stream]] = {name: [] for name in arms}
    for number in range(1, rounds + 1):
        for name, measure in arms.items():
            streams[name].append(measure())
        said = ", ".join(f"{name} lost {made[-1].lost} reordered {made[-1].reordered} blocked"
                         f" {made[-1].blocked_ms:.1f} ms" for name, made in streams.items())
        say(f"round {number} of {rounds}: {said}")
    return streams


def comparison(
    title: str, streams: Mapping[str, Sequence[Stream]], pairs: Sequence[tuple[str, str]], compared: dict[str, Figure]
) -> Table:
    """Makes a table of each (arm, base)'s differences, and of its ratios where the base is not zero. A note names the
    figures that are zero in both arms in every round."""
    table = Table(title, ("per round", "rounds", "difference q1", "median", "q3", "ratio q1", "median ", "q3 "))
    for arm, base in pairs:
        zero = []
        for what, of in compared.items():
            one, two = ([None if s.failed else of(s) for s in streams[name]] for name in (base, arm))
            if not any(one) and not any(two):
                zero.append(what)
                continue
            difference = figures.quartiles(figures.differences(one, two))
            ratio = figures.quartiles(figures.ratios(one, two))
            if difference is not None:
                table.add(f"{arm} against {base}: {what}", difference.rounds, *difference[:3],
                          *(ratio[:3] if ratio else (None, None, None)))
        if zero:
            table.notes.append(f"{arm} against {base}: zero in both in every round: {', '.join(zero)}")
    return table


def overload(control: Sequence[Stream]) -> str:
    """Returns a note that says whether the machine carried the load without changes."""
    bad = sum(1 for s in control if (figures.per_million(s.lost, s.sent) or 0) > _CONTROL_LOST_PER_MILLION)
    if not bad:
        return "the control arm lost less than 0.1 % in every round"
    return (f"OVERLOADED: in {bad} of {len(control)} rounds the control arm itself lost more than 0.1 %; there losses"
            " and gaps are the machine's as much as the change's")
