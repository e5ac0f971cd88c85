"""Cost of idling: per cent of a core of all threads, with every lane open and no traffic."""

from __future__ import annotations

import argparse

from tests.bench.lib import figures
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.polling.bed import Arms

_LIMIT = 1.0
_OUR_IDLE_ARM = "adaptive"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--idle-seconds", type=float, default=10, metavar="S", help="of every arm and round (10)")
    parser.add_argument("--idle-rounds", type=int, default=1, metavar="N", help="(1)")
    parser.add_argument("--idle-lanes", type=int, default=16, metavar="N", help="lanes of ours that are open (16)")


def measure(chosen: argparse.Namespace, arms: Arms, report: Report) -> None:
    used: dict[str, list[dict[str, float]]] = {name: [] for name in arms}
    for number in range(1, chosen.idle_rounds + 1):
        for name, make in arms.items():
            with make() as bed:
                used[name].append(bed.rest(chosen.idle_seconds))
        said = (f"{name} {made[-1]['dataplane']:.2f} %" for name, made in used.items())
        report.say(f"idle, round {number}: {', '.join(said)}")
    table = Table(f"Idle: per cent of a core over {chosen.idle_seconds:g} s, {chosen.idle_lanes} lanes open",
                  ("arm", "rounds", "dataplane", "agent", "its core"))
    for name, made in used.items():
        table.add(name, len(made), *(figures.median(one[what] for one in made if what in one)
                                     for what in ("dataplane", "agent", "busy")))
    reached = max(one["dataplane"] + one["agent"] for one in used[_OUR_IDLE_ARM]) <= _LIMIT
    table.notes.append(f"goal, at most {_LIMIT:g} % of dataplane and agent together when {_OUR_IDLE_ARM}:"
                       f" {'reached' if reached else 'NOT reached'}")
    table.notes.append("testpmd has one queue; it never sleeps, with any number of queues")
    report.table(table)
    report.keep("idle", used)
