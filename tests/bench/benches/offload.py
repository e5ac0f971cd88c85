"""Throughput of offloaded flows, against testpmd and XDP_TX alone.

`reflect`, 64-byte frames, one queue, veth. Sluice with offload on and off, testpmd with net_af_xdp (macswap; without
busy polling, and with its default), and XDP_TX. XDP runs where frames are received. So in the placement `apart`
offloaded flows and XDP_TX use the generator's core and leave the other one idle, while the dataplane and testpmd use
that other core as well. In `together` each uses one core, which is not the generator's.
"""

from __future__ import annotations

import argparse

from tests.bench.lib import devices, figures, saturation
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.peers import testpmd_veth
from tests.lib.world import World

_TESTPMD = ("testpmd, no busy polling", "testpmd")
_CARRIED, _KERNEL = "Sluice, offloaded", "XDP_TX"
_SMALLEST = 64
_TABLE_PER_FLOW = 2  # entries: a bucket has four, and some get more flows than others
_WHERE = {devices.APART: "on the generator's core", devices.TOGETHER: "on the device's core"}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--seconds", type=float, default=1, metavar="S", help="of each measurement (1)")
    parser.add_argument("--flows", nargs="+", type=int, default=[1_000, 10_000, 1_000_000], metavar="N",
                        help="UDP flows, uniformly (1000 10000 1000000)")
    parser.add_argument("--placements", nargs="+", choices=list(_WHERE), default=list(_WHERE),
                        help="where frames are received (both)")


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for flows in chosen.flows:
        report.attempt(f"{flows} flows", lambda: _measure(chosen, report, flows))


def _measure(chosen: argparse.Namespace, report: Report, flows: int) -> None:
    load = saturation.Load(f"{flows} flows", {"size": _SMALLEST, "flows": flows}, _SMALLEST)
    # The first packets of each flow go through the dataplane, at about half a million packets a second.
    first = {"warmup": 0.5 + flows / 60_000}
    with testpmd_veth.hugepages(processes=2), World() as world:
        made: list[devices.Device] = [
            devices.Sluice(world, _CARRIED, poll="adaptive", offload="on",
                           offload_flows=max(65536, flows * _TABLE_PER_FLOW)),
            devices.Sluice(world, "Sluice, through the dataplane"),
            devices.Dpdk(world, _TESTPMD[0], busy_budget=0), devices.Dpdk(world, _TESTPMD[1]),
            devices.Kernel(world, _KERNEL)]
        for device in made:
            device.start()
            device.rest()
        for placement in chosen.placements:
            runs = saturation.interleave(made, chosen.rounds, placement, chosen.seconds, load, report, first)
            table = Table(f"reflect, {flows} flows of {_SMALLEST} bytes, frames received {_WHERE[placement]}",
                          saturation.COLUMNS)
            saturation.add_rows(table, load, runs, _TESTPMD)
            table.notes += saturation.notes([runs], limited=(_KERNEL, _CARRIED))
            ceiling = figures.quartiles(figures.ratios(saturation.mpps(runs[_KERNEL]), saturation.mpps(runs[_CARRIED])))
            if ceiling:
                table.notes.append(f"offloaded against XDP_TX, round by round: q1 {ceiling.low:.2f}, median "
                                   f"{ceiling.middle:.2f}, q3 {ceiling.high:.2f}")
            report.table(table)
            report.keep(f"{flows} flows, {placement}", runs)
