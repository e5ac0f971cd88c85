"""Cost of a packet with 1, 2, 4, 8 and 16 lanes: CPU time of the real programs, and instructions of their userspace.

Each number of lanes has an agent and a dataplane, on a veth pair with the same number of queues, function reflect, one
worker on core 1. The generator and the receive softirq run on core 0. Every round measures each arm once. Further arms
have 2 busy lanes of 16, which shows the cost of idle lanes, or lanes in huge pages, which the bench asks the kernel
for.

CPU time is valid only if the worker always has more to do. One core that feeds 16 queues generates less than one worker
carries, so the worker shares its core with a loop that touches no memory. Then more packets are offered than it has
time for, bursts are full, and the CPU time (all threads of dataplane and agent, by the scheduler's clock) is divided by
the number of packets sent. The time includes everything that runs on the worker's thread: the system calls, and the
softirq of the far end, where frames are counted and dropped. That softirq is half of the cost of an AF_XDP reflector
and the same for every arm, so a ratio of the dataplane alone would be further from 1. The receive softirq on core 0 is
not included.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.bench.lib import cpu, figures, plot
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.cost import measure as instructions
from tests.lib import build, huge_pages, liveload
from tests.lib.agent import Agent, config
from tests.lib.world import World

_GENERATOR_CORE, _WORKER_CORE = 0, 1
_LEAD_SECONDS = 0.5
# This number feeds any smaller number of queues evenly: the device takes a queue that it lacks modulo its own number.
_MOST_QUEUES = 16


class Arm(NamedTuple):
    lanes: int
    busy: int
    huge: bool = False  # pages


_CURVE = {f"{lanes} lane{'s' if lanes > 1 else ''}": Arm(lanes, lanes) for lanes in (1, 2, 4, 8, 16)}
_FEW, _ONE_HUGE, _MANY_HUGE = "2 busy of 16", "1 lane, huge pages", "16 lanes, huge pages"
_ARMS = {**_CURVE, _FEW: Arm(16, 2), _ONE_HUGE: Arm(1, 1, huge=True), _MANY_HUGE: Arm(16, 16, huge=True)}
_COMPARED = (*((name, "1 lane") for name in _CURVE if name != "1 lane"), (_FEW, "2 lanes"), (_ONE_HUGE, "1 lane"),
             (_MANY_HUGE, "16 lanes"))
# Five pages for each lane of one port; the arms with huge pages have 1 + 16 lanes and two bridge lanes.
_HUGE_PAGES = 5 * (1 + 1 + 16 + 1)


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=7, help="of every arm (7)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each arm in a round (1.5)")
    parser.add_argument("--flows", type=int, default=4096, metavar="N", help="over all lanes (4096)")
    parser.add_argument("--size", type=int, default=64, metavar="BYTES", help="of a frame without FCS (64)")


@dataclass
class Sample:
    """One measurement of one arm."""

    ns: float  # CPU time a packet
    sent_pps: float
    offered_pps: float
    dropped: int  # by the device, before the dataplane
    wrong: int

    def as_json(self) -> dict[str, Any]:
        return vars(self)


class Bed:
    """far: a0 == wan0 :dut, with an agent in dut."""

    def __init__(self, world: World, lanes: int, huge: bool) -> None:
        self.programs = build.Programs()
        self.far, self.dut = world.netns("far"), world.netns("dut")
        world.veth(self.far, "a0", self.dut, "wan0", queues=lanes)
        text = config({"wan": "wan0"}, "reflect", lanes, dataplane={"workers": 1, "cores": [_WORKER_CORE]})
        self.agent = Agent(world, self.programs, self.dut, text, name=f"agent-{lanes}{'-huge' if huge else ''}").start()
        in_huge = {queue["huge_pages"] for queue in self.agent.port("wan")["queues"]}
        assert in_huge == {huge}, "the arms with ordinary pages would use huge pages that were free before the bench"
        assert self.agent.process is not None
        self._pids = [self.agent.dataplane_pid(), self.agent.process.pid]

    def _now(self) -> tuple[int, int, dict[str, Any]]:
        return time.monotonic_ns(), sum(cpu.process_ns(pid) for pid in self._pids), self.dut.counters("wan0")

    def sample(self, busy: int, chosen: argparse.Namespace) -> Sample:
        load = liveload.Background(self.programs, (self.far, "a0"), dst_mac=self.dut.mac("wan0"), cpu=_GENERATOR_CORE,
                                   flows=chosen.flows, size=chosen.size, queues=busy)
        with load:
            time.sleep(_LEAD_SECONDS)
            begin, used_before, before = self._now()
            time.sleep(chosen.seconds)
            end, used_after, after = self._now()
            report = load.stop()
        seconds = (end - begin) / 1e9
        sent, offered, dropped = (after[way][what] - before[way][what]
                                  for way, what in (("tx", "packets"), ("rx", "packets"), ("rx", "dropped")))
        return Sample((used_after - used_before) / sent, sent / seconds, offered / seconds, dropped,
                      report["total"]["wrong"] + report["total"]["foreign"])


def _time(chosen: argparse.Namespace, report: Report) -> None:
    with World() as world:
        # Beds with ordinary pages first: a dataplane takes huge pages wherever they are free.
        beds = {(lanes, False): Bed(world, lanes, False) for lanes in sorted({arm.lanes for arm in _ARMS.values()})}
        with huge_pages.more(_HUGE_PAGES) as free:
            huge = free >= _HUGE_PAGES
            if huge:
                beds |= {(arm.lanes, True): Bed(world, arm.lanes, True) for arm in _ARMS.values() if arm.huge}
        arms = {name: arm for name, arm in _ARMS.items() if huge or not arm.huge}
        samples: dict[str, list[Sample]] = {name: [] for name in arms}
        world.start("taskset", "-c", _WORKER_CORE, "sh", "-c", "while :; do :; done")
        for number in range(1, chosen.rounds + 1):
            for name, arm in arms.items():
                queues = arm.busy if arm.busy < arm.lanes else _MOST_QUEUES
                samples[name].append(beds[arm.lanes, arm.huge].sample(queues, chosen))
            said = ", ".join(f"{name} {made[-1].ns:.0f} ns" for name, made in samples.items())
            report.say(f"round {number}: {said}")
        for bed in beds.values():
            bed.agent.stop()
    report.keep("samples", {name: [one.as_json() for one in made] for name, made in samples.items()})
    table = Table(f"Cost: reflect, veth, copy mode, {chosen.size} B, {chosen.flows:,} flows, CPU-ns a packet",
                  ("arm", "rounds", "q1", "median", "q3", "sent pps", "offered pps", "dropped before us"))
    points = []
    for name, made in samples.items():
        found = figures.quartiles(one.ns for one in made)
        assert found is not None
        table.add(name, found.rounds, *found[:3], figures.median(one.sent_pps for one in made),
                  figures.median(one.offered_pps for one in made), sum(one.dropped for one in made))
        if name in _CURVE:
            points.append(plot.Point(_ARMS[name].lanes, found.middle, found.low, found.high))
    idle = [name for name, made in samples.items() if any(one.dropped == 0 for one in made)]
    table.notes.append(f"NOT SATURATED, so not valid: {', '.join(idle)}" if idle else
                       "saturated in every round: more was always offered than sent")
    wrong = sum(one.wrong for made in samples.values() for one in made)
    table.notes.append(f"frames that came back wrong: {wrong}")
    report.table(table)
    ratios = Table("Cost, round by round", ("ratio", "rounds", "q1", "median", "q3"))
    for name, base in _COMPARED:
        if name not in samples:
            ratios.notes.append(f"{name}: the kernel had not enough huge pages")
            continue
        found = figures.quartiles(figures.ratios([one.ns for one in samples[base]], [one.ns for one in samples[name]]))
        assert found is not None
        ratios.add(f"{name} / {base}", found.rounds, *found[:3])
    report.table(ratios)
    report.say(f"curve: {plot.curves(report.file('.svg'), 'Cost of a packet', 'lanes', 'CPU-ns', {'reflect': points})}")


def _instructions(report: Report) -> None:
    table = Table("Cost: instructions of the userspace path, a packet (callgrind on tests/cost/frames.pcap)",
                  ("arm", "reflect", "forward", "reflect, single frames"))
    for name, arm in _ARMS.items():
        if arm.huge:
            continue
        words = ["--lanes", arm.lanes, "--busy-lanes", arm.busy]
        table.add(name, *(instructions.count(*words, *more).instructions for more in (
            ("--function", "reflect"), ("--function", "forward"), ("--function", "reflect", "--burst", 1))))
    table.notes.append("without the kernel's part of system calls; tests/run cost compares it with stored figures")
    report.table(table)


def measure(chosen: argparse.Namespace, report: Report) -> None:
    report.attempt("instructions", lambda: _instructions(report))
    report.attempt("time", lambda: _time(chosen, report))
