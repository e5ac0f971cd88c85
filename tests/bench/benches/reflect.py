"""Throughput of `reflect`, one queue and one core, against testpmd and the kernel alone.

Sluice (the real agent and dataplane; workers that poll all the time, as testpmd does, and adaptive ones),
testpmd with net_af_xdp (macswap; without busy polling, and with its default), and XDP_TX as the ceiling. veth, copy
mode. The load is 256 UDP flows of XDP live frames, as fast as the kernel makes them. The receive side's softirq has two
placements: on another core than the device under test, and on the same (tests/bench/lib/devices.py).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.bench.lib import devices, figures, plot, saturation
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.peers import testpmd_veth
from tests.lib import build
from tests.lib.world import World

_TESTPMD = ("testpmd, no busy polling", "testpmd")
_KERNEL = "XDP_TX"


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--seconds", type=float, default=1, metavar="S", help="of each measurement (1)")
    parser.add_argument("--loads", nargs="+", choices=list(saturation.LOADS), default=list(saturation.LOADS),
                        help="frame bytes without FCS, or imix: 7 of 64, 4 of 590, 1 of 1514 (all of them)")
    parser.add_argument("--placements", nargs="+", choices=(devices.APART, devices.TOGETHER),
                        default=[devices.APART, devices.TOGETHER], help="where frames are received (both)")
    parser.add_argument("--against", type=Path, metavar="BUILD", help="another build of Sluice, as one more device")


def measure(chosen: argparse.Namespace, report: Report) -> None:
    report.attempt("reflect", lambda: _measure(chosen, report))


def _devices(world: World, against: Path | None) -> list[devices.Device]:
    made: list[devices.Device] = [
        devices.Sluice(world, "Sluice, busy"), devices.Sluice(world, "Sluice, adaptive", poll="adaptive"),
        devices.Dpdk(world, _TESTPMD[0], busy_budget=0), devices.Dpdk(world, _TESTPMD[1]),
        devices.Kernel(world, _KERNEL)]
    if against:
        made.append(devices.Sluice(world, f"Sluice of {against}, busy", programs=build.Programs(against.resolve())))
    return made


def _measure(chosen: argparse.Namespace, report: Report) -> None:
    with testpmd_veth.hugepages(processes=2), World() as world:
        made = _devices(world, chosen.against)
        for device in made:
            device.start()
            device.rest()
        for placement in chosen.placements:
            _measure_placement(chosen, report, made, placement)


def _measure_placement(chosen: argparse.Namespace, report: Report, made: list[devices.Device], placement: str) -> None:
    runs = {name: saturation.interleave(made, chosen.rounds, placement, chosen.seconds, saturation.LOADS[name], report)
            for name in chosen.loads}
    table = Table(f"reflect, one queue, one core, frames received {_WHERE[placement]}", saturation.COLUMNS)
    for name, of_load in runs.items():
        saturation.add_rows(table, saturation.LOADS[name], of_load, _TESTPMD)
    table.notes += saturation.notes(list(runs.values()), limited=(_KERNEL,))
    report.table(table)
    report.keep(placement, runs)
    curves: dict[str, list[plot.Point]] = {device.name: [] for device in made if device.name != _KERNEL}
    for name in (name for name in chosen.loads if name in saturation.SIZES):
        for device, points in curves.items():
            rate = figures.quartiles(saturation.mpps(runs[name][device]))
            if rate:
                points.append(plot.Point(saturation.LOADS[name].bytes, rate.middle, rate.low, rate.high))
    path = build.REPOSITORY / f"build/bench/reflect-{placement}-{report.started:%Y%m%d-%H%M%S}.svg"
    print(f"curve: {plot.curves(path, table.title, 'frame bytes', 'Mpps', curves)}\n")


_WHERE = {devices.APART: "on another core", devices.TOGETHER: "on the same core"}
