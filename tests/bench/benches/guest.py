"""Throughput in a guest: Sluice's modes against kernel forwarding, XDP_TX and testpmd, at 1, 2 and 4 pairs.

One device of the guest takes frames and sends them back: Sluice `reflect` in copy mode, in zero-copy mode (kernel 7),
and with offloaded flows; the kernel as a router with one arm; XDP_TX alone. testpmd (virtio PMD, macswap, one polling
core for any number of pairs) has a second device. Frames come from the tap's side, in a closed loop: the number of
frames on the way is bounded, and the rate is the number that comes back in a second.

A measurement counts only if the way was the one that its name says: pairs and modes are those asked for, every pair
received its part, frames came back with swapped MACs and right checksums, and XDP sent _OFFLOADED_PART of the packets
of offloaded flows. Flows pause between the warm-up and the measurement, since a flow that always has a frame in the
dataplane does not become an offloaded one (bpf/flows.h).

Guests are emulated where KVM does not work: then only ratios within a round mean anything, and an instruction does not
cost what it costs on a processor. The generator, QEMU's first thread (the device), and all virtual CPUs share this
machine's cores; the last table says how much of a core each used. A virtual CPU that polls (testpmd's, a worker's
before it sleeps) counts as used.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from tests.bench.levers.guest import new_flows
from tests.bench.lib import cpu, figures, saturation
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.bench.lib.traffic import Stream, stream
from tests.bench.peers import kernel, testpmd
from tests.lib import protojson
from tests.lib.command import run, wait_until
from tests.lib.vm import Vm, booted

from testbed import GuestDied  # isort: skip

_KERNELS: dict[str, dict[str, Any]] = {"6.12": {}, "7": {"zero_copy": True}}
_FORWARDING, _XDP_TX, _TESTPMD = "kernel forwarding", "XDP_TX", "testpmd"
_PEERS = (_FORWARDING, _XDP_TX, _TESTPMD)
_PARTS = ("vCPUs", "device", "generator")
_OFFLOADED_PART = 0.95
# A pair's least part of an even share: with less the flows are not spread over the pairs.
_LEAST_PART = 0.1
# Other flows are sent first, for this time. An interrupt moves to another CPU only when it next comes
# (effective_affinity_list). Until then the old CPU polls the queue while it is busy, and flows that are sent by that
# CPU's pair would stay on that pair.
_SETTLE_SECONDS = 0.1
# The warm-up, as a part of the measurement: flows find their pairs and become offloaded.
_WARM_UP_PART = 0.25
# A measurement that other processes disturb is repeated up to this number.
_TRIES = 2

Send = Callable[[int, kernel.Received], Stream]  # takes the number of the guest's device
Way = Callable[[int, Send], Stream]  # takes the number of pairs


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="(7)")
    parser.add_argument("--kernels", nargs="+", choices=list(_KERNELS), default=list(_KERNELS), help="(both)")
    parser.add_argument("--pairs", nargs="+", type=int, choices=(1, 2, 4), default=[1, 2, 4], help="(1 2 4)")
    parser.add_argument("--seconds", type=float, default=1.5, metavar="S", help="of each measurement (1.5)")
    parser.add_argument("--flows", type=int, default=64, metavar="N", help="(64)")
    parser.add_argument("--window", type=int, default=128, metavar="N", help="frames on the way at most (128)")


class Meter:
    """Measures, from when it is made, the per cent of a core that each of _PARTS and `others` (processes that are not
    ours) use, and `vcpu_seconds`."""

    def __init__(self, vm: Vm) -> None:
        self._qemu = vm.guest.qemu_pid()
        self._strangers = saturation.Strangers([])
        self._before = self._now()

    def _now(self) -> dict[str, float]:
        device = cpu.process_ns(self._qemu, str(self._qemu))
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = ((cpu.process_ns(self._qemu) - device) / 1e9, device / 1e9, ended.ru_utime + ended.ru_stime)
        return {**dict(zip(_PARTS, seconds)), "time": time.monotonic()}

    def read(self) -> dict[str, float]:
        passed = {name: now - self._before[name] for name, now in self._now().items()}
        percent = {name: 100 * passed[name] / passed["time"] for name in _PARTS}
        return {**percent, "others": self._strangers.percent(), "vcpu_seconds": passed[_PARTS[0]]}


def _sent(vm: Vm, chosen: argparse.Namespace, pairs: int, nic: int, received: kernel.Received) -> Stream:
    def send(seconds: float, flows: str) -> Any:
        with vm.stream("--duration", str(seconds), "--window", str(chosen.window), "--settle", "0.1", tap=nic,
                       flows=chosen.flows, rate=0, src_ip=flows) as sent:
            sent.finish(stop=False)
        return protojson.numbers(sent.report)

    send(_SETTLE_SECONDS, new_flows())
    flows = new_flows()
    send(chosen.seconds * _WARM_UP_PART, flows)
    before, meter = received(), Meter(vm)
    report = send(chosen.seconds, flows)
    used = meter.read()
    [direction] = report["directions"]
    came = direction["counts"]["received"]
    by_pair = [now - then for now, then in zip(received(), before)]
    if not came or direction["macs_swapped"] != came or direction["bad_checksum"]:
        raise RuntimeError(f"of {report['total']['sent']} frames {came} came back, {direction['macs_swapped']} with "
                           f"their MACs swapped, {direction['bad_checksum']} with wrong checksums")
    if len(by_pair) != pairs or min(by_pair) < _LEAST_PART * came / pairs or sum(by_pair) < came:
        raise RuntimeError(f"not all of {pairs} pairs received their part of {came}: {by_pair}")
    return stream(report, 0, by_pair=by_pair, used=used, vcpu_us=1e6 * used["vcpu_seconds"] / came)


def _kernel(vm: Vm, made: Callable[[Vm, int], AbstractContextManager[kernel.Received]], pairs: int,
            send: Send) -> Stream:
    with made(vm, pairs) as received:
        return send(0, received)


def _sluice(vm: Vm, mode: str, offloaded: bool, pairs: int, send: Send) -> Stream:
    vm.mode = mode
    function = vm.start("reflect", queue_pairs=pairs, extra=f'offload = "{"on" if offloaded else "off"}"')
    asked = []  # each status from which received() took its numbers

    def received() -> list[int]:
        """Returns the packets of each pair, those of offloaded flows included."""
        asked.append(function.status())
        queues = asked[-1]["ports"][0]["queues"]
        if any(queue["mode"] != mode for queue in queues):
            raise RuntimeError(f"the mode is not {mode}: {[queue['mode'] for queue in queues]}")
        return [queue["rx_packets"] + queue["xdp_packets"].get("offloaded", 0) for queue in queues]

    try:
        if offloaded:
            wait_until(lambda: function.status()["offload"]["on"], lambda: str(function.status()["offload"]))
        sent = send(0, received)
    finally:
        function.stop()
    first, last = (status["balance"] for status in asked)
    part = (last["offloaded"] - first["offloaded"]) / (last["received"] - first["received"])
    if part < _OFFLOADED_PART if offloaded else part > 0:
        raise RuntimeError(f"{100 * part:.1f} % of the packets were offloaded: {asked[-1]['offload']}")
    sent.detail["offloaded"] = part
    return sent


def _testpmd(peer: testpmd.Testpmd, pairs: int, send: Send) -> Stream:
    peer.resize(pairs)
    try:
        return send(peer.nic, peer.received)
    finally:
        peer.rest()


def _ways(vm: Vm, peer: testpmd.Testpmd | None, zero_copy: bool) -> dict[str, Way]:
    ways: dict[str, Way] = {
        _FORWARDING: partial(_kernel, vm, kernel.forwarding),
        _XDP_TX: partial(_kernel, vm, kernel.xdp_tx),
        "Sluice, copy": partial(_sluice, vm, "copy", False)}
    if zero_copy:
        ways["Sluice, zero-copy"] = partial(_sluice, vm, "zerocopy", False)
    ways["Sluice, offloaded"] = partial(_sluice, vm, "copy", True)
    if peer:
        ways[_TESTPMD] = partial(_testpmd, peer)
    return ways


def _measured(way: Way, pairs: int, send: Send) -> Stream:
    for _ in range(_TRIES):
        try:
            made = way(pairs, send)
        except GuestDied:
            raise
        except (RuntimeError, AssertionError) as error:
            return Stream(detail={"failed": " ".join(str(error).split())[-300:]})
        if made.detail["used"]["others"] <= saturation.STRANGERS_PERCENT:
            break
    return made


def _rate(one: Stream) -> float | None:
    """Returns the frames a second that came back."""
    return one.offered_pps * (1 - one.lost / one.sent) if one.sent else None


Streams = dict[tuple[str, int], list[Stream]]  # by way and pairs


def _ratio(streams: Streams, base: tuple[str, int], arm: tuple[str, int]) -> tuple[float | None, ...]:
    """Returns the quartiles of arm / base, round by round."""
    if base == arm or base not in streams:
        return (None, None, None)
    ratio = figures.quartiles(figures.ratios(*([_rate(one) for one in streams[key]] for key in (base, arm))))
    return ratio[:3] if ratio else (None, None, None)


def rates(title: str, least: int, streams: Streams) -> Table:
    """Makes a table of rates, in which `least` pairs are the base that more pairs are compared with."""
    table = Table(title, ("way, pairs", "rounds", "kpps q1", "median", "q3", f"to {least} pair(s) q1", "ratio", "q3 ",
                          "sent", "lost", "reordered"))
    for (way, pairs), made in streams.items():
        failed = [one.detail["failed"] for one in made if one.failed]
        rate = figures.quartiles(None if one.failed else (_rate(one) or 0) / 1e3 for one in made)
        if rate is None:
            table.add(f"{way}, {pairs}", f"did not run: {failed[-1] if failed else 'the guest ended before'}")
            continue
        if failed:
            table.notes.append(f"{way}, {pairs}: {len(failed)} of {len(made)} failed, the last with: {failed[-1]}")
        table.add(f"{way}, {pairs}", rate.rounds, *rate[:3], *_ratio(streams, (way, least), (way, pairs)),
                  *(sum(getattr(one, name) for one in made) for name in ("sent", "lost", "reordered")))
    return table


def _against_peers(title: str, streams: Streams) -> Table:
    columns = [word for peer in _PEERS for word in (f"to {peer} q1", "median", "q3")]
    table = Table(title, ("way, pairs", *columns))
    for way, pairs in streams:
        if way not in _PEERS:
            table.add(f"{way}, {pairs}",
                      *(part for peer in _PEERS for part in _ratio(streams, (peer, pairs), (way, pairs))))
    return table


def _behind(title: str, streams: Streams) -> Table:
    table = Table(title, ("way, pairs", "busiest pair %", "offloaded %", *_PARTS, "vCPU us a frame"))
    for (way, pairs), made in streams.items():
        known = [one.detail for one in made if not one.failed]
        if known:
            table.add(f"{way}, {pairs}",
                      figures.median(100 * max(detail["by_pair"]) / sum(detail["by_pair"]) for detail in known),
                      figures.median(100 * detail["offloaded"] for detail in known if "offloaded" in detail),
                      *(figures.median(detail["used"][part] for detail in known) for part in _PARTS),
                      figures.median(detail["vcpu_us"] for detail in known))
    everything = [one.detail["used"]["others"] for made in streams.values() for one in made if not one.failed]
    disturbed = sum(others > saturation.STRANGERS_PERCENT for others in everything)
    table.notes.append(f"in {disturbed} of {len(everything)} measurements other processes used more than "
                       f"{saturation.STRANGERS_PERCENT} % of a core, in each of {_TRIES} tries")
    return table


def _guest(series: str, chosen: argparse.Namespace, report: Report) -> None:
    more, reason = testpmd.for_guest()
    more["files"] = [*kernel.files(), *more.get("files", [])]
    with booted(series, nics=2, thread_per_cpu=True, **more, **_KERNELS[series]) as vm:
        peer = None
        if not reason:
            peer, reason = testpmd.started(vm, nic=1)
        ways = _ways(vm, peer, "zero_copy" in _KERNELS[series])
        streams: Streams = {(way, pairs): [] for pairs in chosen.pairs for way in ways}
        try:
            for number in range(1, chosen.rounds + 1):
                for (way, pairs), made in streams.items():
                    made.append(_measured(ways[way], pairs, partial(_sent, vm, chosen, pairs)))
                said = ", ".join(f"{way} {pairs}: {(_rate(made[-1]) or 0) / 1e3:.1f}"
                                 for (way, pairs), made in streams.items())
                report.say(f"{series}, round {number} of {chosen.rounds}: kpps {said}")
            if peer:
                peer.quit()
        finally:  # if the guest has died, the whole rounds before that are reported
            whole = min(map(len, streams.values()))
            _report(f"kernel {vm.guest.release}, {vm.guest.accel}", chosen,
                    {key: made[:whole] for key, made in streams.items()}, reason, report)


def _report(where: str, chosen: argparse.Namespace, streams: Streams, reason: str, report: Report) -> None:
    table_of_rates = rates(f"reflect in a guest: {where}, 64 B, {chosen.flows} flows, {chosen.window} on the way",
                   chosen.pairs[0], streams)
    if reason:
        table_of_rates.add(_TESTPMD, f"did not run: {reason}")
    for table in (table_of_rates, _against_peers(f"Sluice against its peers, round by round: {where}", streams),
                  _behind(f"Busiest pair, offloaded flows, and per cent of a core by part, medians: {where}", streams)):
        report.table(table)
    report.keep(where, {f"{way}, {pairs}": [one.as_json() for one in made] for (way, pairs), made in streams.items()})


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for series in chosen.kernels:
        report.attempt(f"guest {series}", partial(_guest, series, chosen, report))
