"""Per cent of a core against the load, from no packets to saturation.

The load is liveload's, in bursts of a few packets, the smallest frames, 256 flows. Every arm gets the same rates, and
finally the highest that the generator can send. The figure counts the reflector's threads and the softirqs that the
kernel put off on their core. The rest of the cost of receiving falls on the generator's core, for every arm.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

from tests.bench.lib import cpu, figures, plot
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.polling.bed import GENERATOR_CORE, WORKER_CORE, Arms, Bed
from tests.lib import liveload

_RATES = (1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 400_000, 0)  # 0: as fast as possible
_FLOWS = 256
_WARMUP_SECONDS = 0.3


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--curve-seconds", type=float, default=1.5, metavar="S", help="of every point and round (1.5)")


def _point(bed: Bed, rate: float, seconds: float) -> dict[str, float]:
    with liveload.Background(bed.programs, (bed.gen, "a0"), dst_mac=bed.dut.mac("wan0"), flows=_FLOWS, rate=rate,
                             cpu=GENERATOR_CORE, warmup=_WARMUP_SECONDS) as load:
        time.sleep(_WARMUP_SECONDS)
        meter = cpu.Meter(bed.pids, WORKER_CORE)
        time.sleep(seconds)
        used = meter.read()
        report = load.stop()
    window = report["window"]
    return {"asked_pps": rate, "offered_pps": window["sent"] / report["seconds"],
            "back_pps": window["received"] / report["seconds"], "wrong": window["wrong"],
            "percent": used["dataplane"] + used["softirq"], "core_percent": used["busy"]}


def _rest(bed: Bed, seconds: float) -> dict[str, float]:
    used = bed.rest(seconds)
    return {"asked_pps": 0, "offered_pps": 0, "back_pps": 0, "wrong": 0,
            "percent": used["dataplane"] + used["softirq"], "core_percent": used["busy"]}


def measure(chosen: argparse.Namespace, arms: Arms, report: Report) -> None:
    # By arm and place on the curve; the first place is without traffic.
    made: dict[str, list[list[dict[str, float]]]] = {name: [[] for _ in range(len(_RATES) + 1)] for name in arms}
    for number in range(1, chosen.rounds + 1):
        for name, make in arms.items():
            with make() as bed:
                made[name][0].append(_rest(bed, chosen.curve_seconds))
                for place, rate in enumerate(_RATES, 1):
                    made[name][place].append(_point(bed, rate, chosen.curve_seconds))
            report.say(f"curve, round {number}: {name} " + ", ".join(
                f"{at[-1]['offered_pps'] / 1e3:,.0f}k {at[-1]['percent']:.0f} %" for at in made[name]))
    table = Table("Per cent of a core against load: 64 B, veth, one queue, one worker, medians of the rounds",
                  ("arm and rate", "rounds", "offered pps", "back pps", "% q1", "median", "q3", "its core %"))
    for name, places in made.items():
        for place, points in enumerate(places):
            asked = "nothing" if place == 0 else f"{_RATES[place - 1] / 1e3:g} kpps" if _RATES[place - 1] else "all"
            percent = figures.quartiles(one["percent"] for one in points)
            assert percent is not None
            table.add(f"{name}, {asked}", percent.rounds, _median(points, "offered_pps"), _median(points, "back_pps"),
                      *percent[:3], _median(points, "core_percent"))
    wrong = sum(int(one["wrong"]) for places in made.values() for points in places for one in points)
    table.notes.append(f"frames that came back without their MAC addresses swapped: {wrong:,}")
    report.table(table)
    drawn = plot.curves(report.file("-curve.svg"), "A worker's core against the load (64 B, veth, copy mode)",
                        "packets reflected a second", "per cent of a core",
                        {name: [_drawn(points) for points in places] for name, places in made.items()}, log_x=True)
    print(f"drawn: {drawn}\n")
    report.keep("curve", made)


def _median(points: Sequence[dict[str, float]], what: str) -> float | None:
    return figures.median(one[what] for one in points)


def _drawn(points: Sequence[dict[str, float]]) -> plot.Point:
    percent = figures.quartiles(one["percent"] for one in points)
    assert percent is not None
    return plot.Point(_median(points, "back_pps") or 0, percent.middle, percent.low, percent.high)
