"""Throughput of `forward` between two ports on one core, at 1, 2 and 4 queues, against testpmd and the kernel alone.

The bench `reflect` with two ports: packets go one way, from the first port to the second. testpmd forwards (io) without
touching the frames, as Sluice does; XDP_REDIRECT is the ceiling. With several queues the load goes through clsact,
which picks the queue of each flow, and is slower.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.lib import devices, saturation
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.peers import testpmd_veth
from tests.lib import build
from tests.lib.world import World

_TESTPMD = ("testpmd, no busy polling", "testpmd")
_KERNEL = "XDP_REDIRECT"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--seconds", type=float, default=1, metavar="S", help="of each measurement (1)")
    parser.add_argument("--queues", nargs="+", type=int, choices=(1, 2, 4), default=[1, 2, 4], help="(1 2 4)")
    parser.add_argument("--load", choices=list(saturation.LOADS), default="64", help="frame bytes, or imix (64)")
    parser.add_argument("--placements", nargs="+", choices=(devices.APART, devices.TOGETHER),
                        default=[devices.APART, devices.TOGETHER], help="where frames are received (both)")
    parser.add_argument("--against", type=Path, metavar="BUILD", help="another build of Sluice, as one more device")


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for queues in chosen.queues:
        report.attempt(f"forward, {queues} queues", lambda: _measure(chosen, report, queues))


def _devices(world: World, queues: int, against: Path | None) -> list[devices.Device]:
    made: list[devices.Device] = [
        devices.Sluice(world, "Sluice, busy", 2, queues),
        devices.Sluice(world, "Sluice, adaptive", 2, queues, "adaptive"),
        devices.Dpdk(world, _TESTPMD[0], 2, queues, busy_budget=0), devices.Dpdk(world, _TESTPMD[1], 2, queues),
        devices.Kernel(world, _KERNEL, 2, queues)]
    if against:
        made.append(devices.Sluice(world, f"Sluice of {against}, busy", 2, queues,
                                   programs=build.Programs(against.resolve())))
    return made


def _measure(chosen: argparse.Namespace, report: Report, queues: int) -> None:
    load = saturation.LOADS[chosen.load]
    with testpmd_veth.hugepages(processes=2), World() as world:
        made = _devices(world, queues, chosen.against)
        for device in made:
            device.start()
            device.rest()
        for placement in chosen.placements:
            runs = saturation.interleave(made, chosen.rounds, placement, chosen.seconds, load, report)
            table = Table(f"forward, {queues} queue(s), one core, frames received on "
                          f"{'another' if placement == devices.APART else 'the same'} core", saturation.COLUMNS)
            saturation.add_rows(table, load, runs, _TESTPMD)
            table.notes += saturation.notes([runs], limited=(_KERNEL,))
            report.table(table)
            report.keep(f"{queues} queues, {placement}", runs)
