"""The cost of a packet with more queue pairs than it needs: CPU time, wake-ups, system calls and interrupts.

`reflect` in a guest receives the same packets a second with one, two and four pairs, once more with one (the noise),
and with four pairs whose workers follow the load (queue_pairs = "auto" between 4 and 4). The regression of 2012 was
that more queues mean smaller bursts, so more wake-ups, system calls and interrupts a packet.

A measurement counts only if every pair received its part. One that lost packets counts, but its row says so: an
overloaded guest drops before it works. Guests are emulated where KVM does not work: then an interrupt does not cost
what it costs on a processor, but their numbers are real.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.bench.benches.guest import Meter
from tests.bench.levers.guest import new_flows
from tests.bench.lib import figures
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib.vm import Vm, booted

from testbed.network_function import NetworkFunction  # isort: skip

_LEAST_PART = 0.1  # of an even share
_FLOWS = 64
_WARM_UP_SECONDS = 1.0
_DECISION_SECONDS = 10.0  # three times the hold of the cores lever
_COUNTS = ("busy rounds", "sleeps", "sendto calls", "interrupts", "NET_RX")


@dataclass(frozen=True)
class Arm:
    name: str
    pairs: int
    by_load: bool = False  # the workers, not one for each pair

    def settings(self) -> dict[str, Any]:
        if not self.by_load:
            return {"queue_pairs": self.pairs}
        return {"queue_pairs": f'"auto"\nqueue_pairs_min = {self.pairs}\nqueue_pairs_max = {self.pairs}'}


_ONE = Arm("1", 1)
_ARMS = (_ONE, Arm("2", 2), Arm("4", 4), Arm("4, workers by load", 4, by_load=True), Arm("1 again", 1))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--rates", nargs="+", type=int, default=[2_000, 10_000], metavar="PPS", help="(2000 10000)")
    parser.add_argument("--kernels", nargs="+", choices=("6.1", "6.12", "7"), default=["6.12"], help="(6.12)")
    parser.add_argument("--seconds", type=float, default=4, metavar="S", help="of each measurement (4)")
    parser.add_argument("--poll", choices=("adaptive", "busy"), default="adaptive", help="(adaptive)")


def _kernel_counts(vm: Vm) -> dict[str, int]:
    softirqs = [line.split(":") for line in vm.guest.get("/proc/softirqs").decode().splitlines()[1:]]
    [received] = [sum(map(int, cpus.split())) for name, cpus in softirqs if name.strip() == "NET_RX"]
    lines = vm.guest.get("/proc/interrupts").decode().splitlines()
    cpus = len(lines[0].split())
    queues = [line.split() for line in lines if "-input." in line or "-output." in line]
    return {"NET_RX": received, "interrupts": sum(int(count) for line in queues for count in line[1:1 + cpus])}


def _counts(vm: Vm, function: NetworkFunction) -> tuple[list[int], dict[str, int]]:
    """Returns the packets that each pair received, the number of workers, and the sums of _COUNTS."""
    status = function.status()
    [port] = status["ports"]
    received = [queue["rx_packets"] for queue in port["queues"]]
    return received, {
        "workers": len(status["workers"]),
        "busy rounds": sum(worker["busy_rounds"] for worker in status["workers"]),
        "sleeps": sum(worker["sleeps"] for worker in status["workers"]),
        "sendto calls": sum(queue["tx_wakeups"] for queue in port["queues"]),
        **_kernel_counts(vm)}


def _measured(vm: Vm, arm: Arm, rate: int, chosen: argparse.Namespace) -> dict[str, Any]:
    function = vm.start("reflect", extra=f'poll = "{chosen.poll}"', **arm.settings())
    try:
        # The tap remembers for some seconds the queue of each flow of the arm before.
        with vm.stream(flows=_FLOWS, rate=rate, src_ip=new_flows()) as sent:
            time.sleep(_DECISION_SECONDS if arm.by_load else _WARM_UP_SECONDS)
            before, first = _counts(vm, function)
            began, meter = time.monotonic(), Meter(vm)
            time.sleep(chosen.seconds)
            used, measured = meter.read(), time.monotonic() - began
            after, last = _counts(vm, function)
            counted = time.monotonic() - began
    finally:
        function.stop()
    by_pair = [now - then for now, then in zip(after, before, strict=True)]
    frames = sum(by_pair)
    if not frames or min(by_pair) < _LEAST_PART * frames / arm.pairs:
        raise RuntimeError(f"not all of {arm.pairs} pairs received their part of {frames}: {by_pair}")
    # The meter leaves out the time in which the last counts were asked for.
    metered = frames * measured / counted
    return {"us": 1e6 * used["vcpu_seconds"] / metered, "lost": sent.total["lost"], "workers": last.pop("workers"),
            **{name: (last[name] - first[name]) / frames for name in _COUNTS}}


def _table(where: str, rate: int, rounds: dict[Arm, list[dict[str, Any]]]) -> Table:
    table = Table(f"{where}, {rate:,} packets a second: a frame's cost, medians; ratios to one pair",
                  ("pairs", "workers", "vCPU us", "ratio q1", "median", "q3", *_COUNTS, "lost"))
    for arm, made in rounds.items():
        ratio = figures.quartiles(figures.ratios([one["us"] for one in rounds[_ONE]], [one["us"] for one in made]))
        assert ratio
        workers = sorted({one["workers"] for one in made})
        table.add(arm.name, " or ".join(map(str, workers)), figures.median(one["us"] for one in made), *ratio[:3],
                  *(figures.median(one[name] for one in made) for name in _COUNTS), sum(one["lost"] for one in made))
    return table


def _guest(kernel: str, chosen: argparse.Namespace, report: Report) -> None:
    with booted(kernel) as vm:
        where = f"kernel {vm.guest.release}, {vm.guest.accel}, {chosen.poll}"
        for rate in chosen.rates:
            rounds: dict[Arm, list[dict[str, Any]]] = {arm: [] for arm in _ARMS}
            for number in range(1, chosen.rounds + 1):
                for arm, made in rounds.items():
                    made.append(_measured(vm, arm, rate, chosen))
                report.say(f"{where}, {rate} pps, round {number} of {chosen.rounds}: " +
                           ", ".join(f"{arm.name}: {made[-1]['us']:.1f}" for arm, made in rounds.items()))
            report.table(_table(where, rate, rounds))
            report.keep(f"{where}, {rate}", {arm.name: made for arm, made in rounds.items()})


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for kernel in chosen.kernels:
        report.attempt(f"pairs {kernel}", partial(_guest, kernel, chosen, report))
