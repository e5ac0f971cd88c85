"""Round trip and CPU cost of single packets at a low and a middling rate, and the time of one wake-up.

A wake-up is measured in each round: a thread on the generator's core wakes one that sleeps in poll() on the worker's
core, as often as the low rate has packets. A packet that finds the worker asleep must wait for one wake-up.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from tests.bench.lib import figures
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.polling.bed import GENERATOR_CORE, WORKER_CORE, Arms
from tests.lib import build, command

_LOW, _MIDDLING = 1_000, 50_000
_RATES = (_LOW, _MIDDLING)
_WAKEUPS = 1000
# The goals of adaptive polling.
_RATIO, _LOW_PERCENT = 1.2, 10.0


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--latency-seconds", type=float, default=2, metavar="S",
                        help="of every arm, rate and round (2)")


def _wakeup() -> dict[str, float]:
    done = command.run(build.Programs().wakeup, "--from", GENERATOR_CORE, "--to", WORKER_CORE,
                       "--period-us", 1_000_000 // _LOW, "--count", _WAKEUPS)
    return json.loads(done.stdout)


def _stream(raw: dict[str, Any]) -> dict[str, float]:
    """Returns the figures of one stream that are kept."""
    direction, total = raw["flowgen"]["directions"][0], raw["flowgen"]["total"]
    return {"p50_us": direction["latency_p50_ns"] / 1e3, "p99_us": direction["latency_p99_ns"] / 1e3,
            "sent_pps": direction["sent_pps"], "sent": total["sent"], "lost": total["lost"], **raw["cpu"]}


def measure(chosen: argparse.Namespace, arms: Arms, report: Report) -> None:
    streams: dict[tuple[str, int], list[dict[str, float]]] = {(arm, rate): [] for arm in arms for rate in _RATES}
    wakeups = []
    for number in range(1, chosen.rounds + 1):
        wakeups.append(_wakeup())
        for name, make in arms.items():
            with make() as bed:
                for rate in _RATES:
                    streams[name, rate].append(_stream(bed.stream(rate, chosen.latency_seconds)))
        report.say(f"latency, round {number}: wake-up {wakeups[-1]['p50_ns'] / 1e3:.1f} us; p50 " + ", ".join(
            f"{arm} {rate / 1e3:g}k {made[-1]['p50_us']:.1f}" for (arm, rate), made in streams.items()))
    report.table(_round_trips(streams, wakeups))
    report.table(_comparison(streams, [one["p50_ns"] / 1e3 for one in wakeups]))
    report.keep("latency", {"wakeups": wakeups, "streams": {f"{a} {r}": made for (a, r), made in streams.items()}})


def _round_trips(streams: dict[tuple[str, int], list[dict[str, float]]], wakeups: list[dict[str, float]]) -> Table:
    table = Table("Round trip of 64-byte packets over veth, medians of the rounds",
                  ("arm and rate", "rounds", "sent pps", "lost", "p50 us", "p99 us", "dataplane %", "its core %"))
    for (arm, rate), made in streams.items():
        table.add(f"{arm}, {rate / 1e3:g} kpps", len(made), figures.median(one["sent_pps"] for one in made),
                  int(sum(one["lost"] for one in made)),
                  *(figures.median(one[what] for one in made) for what in ("p50_us", "p99_us", "dataplane", "busy")))
    table.add("one wake-up", len(wakeups), float(_LOW), None,
              *(figures.median(one[what] / 1e3 for one in wakeups) for what in ("p50_ns", "p99_ns")), None, None)
    return table


def _comparison(streams: dict[tuple[str, int], list[dict[str, float]]], wakeup_us: list[float]) -> Table:
    """Makes the table of adaptive against busy polling, round by round, with the goals."""

    def p50(arm: str, rate: int) -> list[float]:
        return [one["p50_us"] for one in streams[arm, rate]]

    middling = figures.ratios(p50("busy", _MIDDLING), p50("adaptive", _MIDDLING))
    over = [adaptive - busy for busy, adaptive in zip(p50("busy", _LOW), p50("adaptive", _LOW), strict=True)]
    percent = [one["dataplane"] for one in streams["adaptive", _LOW]]
    table = Table("Adaptive against busy polling, round by round", ("figure", "rounds", "q1", "median", "q3", "goal"))
    for name, values, goal in (
            (f"p50 at {_MIDDLING / 1e3:g} kpps, adaptive / busy", middling, f"<= {_RATIO:g}"),
            (f"p50 at {_LOW / 1e3:g} kpps, (adaptive - busy) / one wake-up", figures.ratios(wakeup_us, over), "<= 1"),
            (f"per cent of a core at {_LOW / 1e3:g} kpps", percent, f"<= {_LOW_PERCENT:g}")):
        quartiles = figures.quartiles(values)
        assert quartiles is not None
        table.add(name, quartiles.rounds, *quartiles[:3], goal)
    return table
