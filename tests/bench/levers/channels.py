"""Lever channels: the device's queue pairs change, 1 -> 4 -> 1, while an open-loop stream goes through a guest.

Ways, in the same rounds on the same guest:

    none       `sluicectl queues set` with the present number: the control arm
    sluice     `sluicectl queues set`
    naive      the agent ends, `ethtool -L`, the agent starts (peers/naive.py)
    testpmd    DPDK on a second device of the same guest: stop, reconfigure, start (peers/testpmd.py)

Every stream has new flows and one change, so loss, order, duplicates and the longest gap belong to that change. The
window and its steps are the agent's own times (last_resize); held, unproven and bridged are its own counts.

Packets that the host's tap drops are not told apart from other loss. The windows of the naive way and of testpmd are
timed in the guest to 10 ms. Guests are emulated where KVM does not work, and then a virtual CPU may stand still for
tens of ms: compare with the row of the control arm.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.bench.levers import guest
from tests.bench.lib import figures, latency, plot, rounds, traffic, windows
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.peers import naive, testpmd
from tests.lib.vm import NetworkFunction, Vm, booted

_LOW, _HIGH = 1, 4
_PEERS = ("naive", "testpmd")
# Columns with the most of one resize, from these keys of last_resize; ways without the key have none.
_AGENT_SAYS = {"held max": "held", "unproven max": "reordered", "bridged max": "bridged"}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--resizes", type=int, default=20, metavar="N", help="of each way, half of them up (20)")
    parser.add_argument("--channels-rate", type=int, default=4000, metavar="PPS", help="(4000)")
    parser.add_argument("--channels-flows", type=int, default=32, metavar="N", help="(32)")
    parser.add_argument("--channels-kernels", nargs="+", default=["6.1", "6.12"], choices=("6.1", "6.12", "7"))
    parser.add_argument("--without", action="append", default=[], choices=_PEERS, help="leave a peer out")


class Ways:
    """The arms of one guest: a name for each way and direction, and the function that measures it."""

    def __init__(self, vm: Vm, function: NetworkFunction, rate: float, flows: int) -> None:
        self._vm = vm
        self._load: dict[str, Any] = {"rate": rate, "flows": flows}
        self._function = function
        self.arms: dict[str, rounds.Arm] = {}

    def _add(self, way: str, change: Callable[[int], dict[str, Any]], tap: int = 0) -> None:
        def answered(pairs: int) -> dict[str, Any]:
            try:
                return change(pairs)
            except RuntimeError as error:  # of the guest or of a peer in it: this change has no figure, the rest go on
                return {"failed": " ".join(str(error).split())[-300:]}

        for name, pairs in ((f"{way} {_LOW}->{_HIGH}", _HIGH), (f"{way} {_HIGH}->{_LOW}", _LOW)):
            self.arms[name] = partial(
                guest.stream_while, self._vm, partial(answered, pairs), changes=1, tap=tap, **self._load)

    def add_control(self) -> None:
        """Asks for the number of pairs that the function starts with, again."""
        self.arms["none"] = lambda: guest.stream_while(
            self._vm, lambda: guest.resize(self._function, _LOW) and {}, changes=0, **self._load)

    def add_sluice(self) -> None:
        self._add("sluice", lambda pairs: guest.resize(self._function, pairs))

    def add_naive(self) -> None:
        self._add("naive", lambda pairs: naive.resize(self._vm, pairs))

    def add_testpmd(self, peer: testpmd.Testpmd) -> None:
        def measured(measure: rounds.Arm) -> rounds.Arm:
            def arm() -> traffic.Stream:
                try:
                    peer.forward()
                    stream = measure()
                    peer.rest()
                except RuntimeError as error:
                    return traffic.Stream(detail={"failed": " ".join(str(error).split())[-300:]})
                return stream

            return arm

        before = set(self.arms)
        self._add("testpmd", peer.resize, tap=peer.nic)
        for name in set(self.arms) - before:
            self.arms[name] = measured(self.arms[name])


def _main_table(title: str, streams: dict[str, list[traffic.Stream]]) -> Table:
    table = Table(title, ("way", *traffic.COLUMNS, *traffic.BLOCKED, *_AGENT_SAYS, "window ms p50", "max "))
    for name, made in streams.items():
        done = [one.detail["last_resize"] for one in made if "last_resize" in one.detail]
        took = windows.window_ms(done)
        said = [max((resize[key] for resize in done if key in resize), default=None) for key in _AGENT_SAYS.values()]
        table.add(name, *traffic.totals(made), *traffic.blocked(made), *said,
                  figures.median(took), max(took, default=None))
        failed = [one.detail["failed"] for one in made if "failed" in one.detail]
        if failed:
            table.notes.append(f"{name}: {len(failed)} of {len(made)} failed, the last one with: {failed[-1]}")
        for word in {resize["result"] for resize in done if resize.get("result", "done") != "done"}:
            table.notes.append(f"{name}: some ended '{word}'")
    return table


def _steps_table(title: str, streams: dict[str, list[traffic.Stream]]) -> Table:
    table = Table(title, windows.COLUMNS)
    for name, made in streams.items():
        done = [one.detail["last_resize"] for one in made if one.detail.get("last_resize")]
        windows.attribute(table, name, done)
    return table


def _kernel(kernel: str, chosen: argparse.Namespace, report: Report) -> None:
    def say(text: str) -> None:
        report.say(f"channels {kernel}: {text}")

    wanted = "testpmd" not in chosen.without
    more, reason = testpmd.for_guest() if wanted else ({}, "")
    with contextlib.ExitStack() as stack:
        vm = stack.enter_context(booted(kernel, nics=2 if wanted else 1, thread_per_cpu=True, **more))
        peer = None
        if more:
            peer, reason = testpmd.started(vm, nic=1)
        function = vm.start("reflect", queue_pairs=_LOW)
        where = guest.describe(vm, function)
        offer = guest.offer(vm, chosen.channels_rate, chosen.channels_flows, say)
        ways = Ways(vm, function, offer.rate, chosen.channels_flows)
        ways.add_control()
        ways.add_sluice()
        if "naive" not in chosen.without:
            ways.add_naive()
        if peer:
            ways.add_testpmd(peer)
        streams = rounds.interleave(ways.arms, max(1, round(chosen.resizes / 2)), say)
        balance = traffic.balance(function.status())
        if peer:
            peer.quit()
    table = _main_table(f"Lever channels: {where}, reflect, {chosen.channels_flows} flows", streams)
    table.notes += [offer.words(), rounds.overload(streams["none"])]
    if wanted and not peer:
        table.add("testpmd", f"did not run: {reason}")
    elif peer:
        table.notes.append("testpmd: virtio PMD over uio_pci_generic, macswap, one polling core")
    table.notes.append(f"{balance} (of the agent's last start)")
    report.table(table)
    pairs = []
    for way in (f"{_LOW}->{_HIGH}", f"{_HIGH}->{_LOW}"):
        own = f"sluice {way}"
        pairs += [(own, "none"), *((f"{name} {way}", own) for name in _PEERS if f"{name} {way}" in streams)]
    report.table(rounds.comparison(f"Lever channels, kernel {kernel}, round by round", streams, pairs,
                                   rounds.PER_CHANGE))
    report.table(_steps_table(f"Lever channels, kernel {kernel}: where the window's time goes", streams))
    report.table(latency.table(f"Lever channels, kernel {kernel}: latency, beside no change", streams))
    for way, end in ((f"{_LOW}->{_HIGH}", "grow"), (f"{_HIGH}->{_LOW}", "shrink")):
        drawn = plot.curves(
            report.file(f"-latency-{kernel}-{end}.svg"), f"Latency around a resize {way}, kernel {kernel}",
            f"ms; the longest wait is at {latency.AROUND_MS}", "ms from sending to receiving, medians of the streams",
            latency.curves("no change", streams["none"]) | latency.curves(way, streams[f"sluice {way}"]))
        print(f"drawn: {drawn}\n")
    report.keep(f"channels {kernel}", {name: [one.as_json() for one in made] for name, made in streams.items()})


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for kernel in chosen.channels_kernels:
        report.attempt(f"channels {kernel}", partial(_kernel, kernel, chosen, report))
