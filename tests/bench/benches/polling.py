"""CPU and latency of idle workers and of adaptive polling, against busy polling and testpmd.

Parts: `idle`, no traffic with every lane open; `latency`, single packets at 1 and 50 kpps; `curve`, per cent of a core
against the load. Two namespaces and a veth pair, copy mode, function reflect; generator on core 0, worker on core 1.
testpmd is DPDK's net_af_xdp with one queue, macswap, busy_budget=0. Each arm is started for its turn and ended after
it, so that its polling does not disturb another arm.
"""

from __future__ import annotations

import argparse
from functools import partial

from tests.bench.lib.report import Report
from tests.bench.peers import testpmd_veth
from tests.bench.polling import curve, idle, latency
from tests.bench.polling.bed import OURS, Arms, Sluice, Testpmd

_PARTS = {"idle": idle, "latency": latency, "curve": curve}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", action="append", choices=_PARTS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="of every arm (7)")
    for part in _PARTS.values():
        part.options(parser)


def _arms(lanes: int) -> Arms:
    return {**{poll: partial(Sluice, poll, lanes) for poll in OURS}, "testpmd": partial(Testpmd, 0)}


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for name in chosen.part or _PARTS:
        arms = _arms(chosen.idle_lanes if name == "idle" else 1)
        with testpmd_veth.hugepages(1):
            report.attempt(name, partial(_PARTS[name].measure, chosen, arms, report))
