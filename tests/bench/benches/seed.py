"""The tables of the 2012 multiqueue series: N queue pairs against one, by load, size and sessions, and `auto`.

The series (virtio-net, 2012) shipped multiqueue disabled, since small packets and single sessions got slower with it.
This bench measures its cells: TCP_RR and TCP_CRR of 1, 64 and 256 bytes with 1, 20, 50 and 100 sessions; streams with
writes of 1 to 16384 bytes and 1, 2 and 4 sessions; transmission by pktgen with 1 to 4 pairs. It does so for the guest's
own stack (`stack`), and for traffic through Sluice on veth (`veth`) and in a guest (`guest`).

Each round has every arm of a cell in turn: one pair, more pairs, `auto`, and one pair again, which shows the noise. The
tables are the series' own: throughput and throughput for each core that the path used (`norm`), for one pair and for
the arm, and the change in per cent. The path's CPU time is that of agent and dataplane on veth, and of the virtual CPUs
with guests. The last table of a bed counts the cells below one pair by more than the noise.

`auto` begins each measurement with one pair. The load runs for --auto-lead seconds before, so that it can judge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from tests.bench.lib import saturation
from tests.bench.lib.report import Report
from tests.bench.seed import tables
from tests.bench.seed.beds import BEDS, Bed
from tests.bench.seed.loads import LOADS, PACKETS, Cell, NotReady

_QUICK = {"rounds": 1, "seconds": 1, "lead": 1, "auto_lead": 3, "pairs": [2], "tries": 1, "sizes": [64],
          "sessions": [2, 20]}
_READY_TRIES, _READY_PAUSE_SECONDS = 20, 0.5


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beds", nargs="+", choices=list(BEDS), default=list(BEDS), help="(all)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--seconds", type=int, default=2, metavar="S", help="of each measurement (2)")
    parser.add_argument("--lead", type=int, default=1, metavar="S", help="of the load before it (1)")
    parser.add_argument("--auto-lead", type=int, default=6, metavar="S", help="the same for auto (6)")
    parser.add_argument("--pairs", nargs="+", type=int, default=[2, 4], metavar="N", help="other than 1 (2 4)")
    parser.add_argument("--loads", nargs="+", choices=LOADS, default=list(LOADS), help="(all)")
    parser.add_argument("--sizes", nargs="+", type=int, metavar="BYTES", help="only these of TCP's cells")
    parser.add_argument("--sessions", nargs="+", type=int, metavar="N", help="only these of TCP's cells")
    parser.add_argument("--kernel", default="6.12", help="of guests (6.12)")
    parser.add_argument("--tries", type=int, default=2, metavar="N",
                        help="of a measurement that other processes disturb (2)")
    parser.add_argument("--quick", action="store_true", help="a few cells, once: shows that the bench works")


Made = TypeVar("Made")


def _when_ready(run: Callable[[], Made]) -> Made:
    """Runs it again while a server is still at its last client."""
    for _ in range(_READY_TRIES):
        try:
            return run()
        except NotReady:
            time.sleep(_READY_PAUSE_SECONDS)
    return run()


def _sample(bed: Bed, cell: Cell, seconds: int) -> tables.Sample:
    strangers, before = saturation.Strangers([]), bed.cpu_ns()
    throughput = bed.run(cell, seconds)
    seconds_used = (bed.cpu_ns() - before) / 1e9
    return tables.Sample(throughput, throughput * seconds / seconds_used, bed.pairs(), strangers.percent())


def _measured(bed: Bed, cell: Cell, arm: str, chosen: argparse.Namespace) -> tables.Sample:
    made = tables.Sample(failed="not tried")
    for _ in range(chosen.tries):
        try:
            bed.take(arm)
            _when_ready(partial(bed.lead, cell, arm))
            made = _when_ready(partial(_sample, bed, cell, chosen.seconds))
        except (RuntimeError, AssertionError) as error:
            return tables.Sample(failed=" ".join(str(error).split())[-300:])
        if made.strangers <= saturation.STRANGERS_PERCENT:
            break
    return made


def _wanted(cell: Cell, chosen: argparse.Namespace) -> bool:
    if cell.load == PACKETS:
        return True
    return cell.size in (chosen.sizes or [cell.size]) and cell.sessions in (chosen.sessions or [cell.sessions])


def _measure(bed: Bed, chosen: argparse.Namespace, report: Report) -> None:
    samples: dict[Cell, dict[str, list[tables.Sample]]] = {
        cell: {arm: [] for arm in bed.arms(load)}
        for load in bed.loads if load in chosen.loads for cell in bed.cells(load) if _wanted(cell, chosen)}
    try:
        for number in range(1, chosen.rounds + 1):
            for cell, arms in samples.items():
                for arm, made in arms.items():
                    made.append(_measured(bed, cell, arm, chosen))
                report.say(f"{bed.where}, round {number} of {chosen.rounds}: {cell.load} {cell.size}/{cell.sessions}: "
                           + ", ".join(f"{arm} {made[-1].failed or round(made[-1].throughput, 1)}"
                                       for arm, made in arms.items()))
    finally:  # if the guest has died, the whole rounds before that are reported
        _report(bed, samples, report)


def _report(bed: Bed, samples: dict[Cell, dict[str, list[tables.Sample]]], report: Report) -> None:
    samples = tables.whole_rounds(samples)
    everything = [one for arms in samples.values() for made in arms.values() for one in made]
    for load in dict.fromkeys(cell.load for cell in samples):
        for arm in bed.arms(load)[1:]:
            report.table(tables.against_one(bed.where, load, arm, samples))
    verdict = tables.verdict(bed.where, samples)
    disturbed = sum(one.strangers > saturation.STRANGERS_PERCENT for one in everything)
    verdict.notes.append(f"in {disturbed} of {len(everything)} measurements other processes used more than "
                         f"{saturation.STRANGERS_PERCENT} % of a core")
    verdict.notes += [bed.note] if bed.note else []
    report.table(verdict)
    report.keep(bed.where, {f"{cell.load} {cell.size}/{cell.sessions}": {
        arm: [one.as_json() for one in made] for arm, made in arms.items()} for cell, arms in samples.items()})
    if everything and all(one.failed for one in everything):
        raise RuntimeError(f"no measurement was made: {everything[-1].failed}")


def _bed(name: str, chosen: argparse.Namespace, report: Report) -> None:
    with BEDS[name](chosen) as bed:
        _measure(bed, chosen, report)


def measure(chosen: argparse.Namespace, report: Report) -> None:
    if chosen.quick:
        vars(chosen).update(_QUICK)
    for name in chosen.beds:
        report.attempt(name, partial(_bed, name, chosen, report))
