"""Lever cores: lanes change workers (`sluicectl workers set`) while an open-loop stream goes through.

Measures the loss and the order of a stream at a stated rate, with many changes and, in the same rounds, without. There
are two arms without changes, since two workers may carry less than one when the generator needs the other core: the
cost of `workers set` is its difference to both. These arms ask for the present number of workers equally often, so all
arms run the same number of sluicectl processes. Two namespaces and a veth pair, copy mode, function reflect, generator
and dataplane on the same cores.

It does not measure throughput. The rate is one that this machine carried before the rounds began, with one worker and
with two. Packets lost because a late worker's rings were full are in the port's receive counter (column `at veth`), in
all arms.
"""

from __future__ import annotations

import argparse
import math
import random
import time
from typing import Any

from tests.bench.lib import load, rounds, traffic
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build, flowgen
from tests.lib.agent import Agent, config
from tests.lib.world import World

_SEED = 20120704
_QUEUES = 4
_CONTROLS = ("1 worker", "2 workers")
_LEAD_SECONDS = 0.3
# Generator and workers share the cores. At equal priority the generator, which is always busy, now and then kept a
# worker from its core until the rings were full: 6 of 12 streams of 60,000 pps over two workers lost packets, and 2 of
# 12 when the workers had priority.
_GENERATOR_NICE = 10


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cores-changes", type=int, default=280, metavar="N", help="changes in all (280)")
    parser.add_argument("--cores-rate", type=float, default=300_000, metavar="PPS",
                        help="offered rate, or the highest below it that is sustained (300000)")
    parser.add_argument("--cores-flows", type=int, default=256, metavar="N", help="(256)")


class Bed:
    """gen: a0 == wan0 :dut, an agent in dut, all lanes on one worker."""

    def __init__(self, world: World, flows: int) -> None:
        self.programs = build.Programs()
        self.flows = flows
        self.gen, self.dut = world.netns("gen"), world.netns("dut")
        world.veth(self.gen, "a0", self.dut, "wan0", queues=_QUEUES)
        text = config({"wan": "wan0"}, "reflect", _QUEUES, dataplane={"workers": 1, "cores": [0, 1]})
        self.agent = Agent(world, self.programs, self.dut, text).start()
        self.workers = 1
        self.numbers = random.Random(_SEED)

    def _drops(self) -> dict[str, int]:
        """Returns every counter of dropped frames on the way, flowgen's own excepted."""
        wan = self.dut.counters("wan0")
        return {"a0 tx": self.gen.counters("a0")["tx"]["dropped"], "wan0 rx": wan["rx"]["dropped"],
                "wan0 tx": wan["tx"]["dropped"], "dataplane": self.agent.settled()["balance"]["dropped"]}

    def measure(self, rate: float, changes: int, fixed: int | None) -> traffic.Stream:
        """Measures a stream with `changes` calls of sluicectl; with a fixed number of workers they change nothing."""
        if fixed:
            self.workers = fixed
            self.agent.ctl("workers", "set", fixed)
        before = self._drops()
        stream = flowgen.Background(self.programs, (self.gen, "a0"), dst_mac=self.dut.mac("wan0"), flows=self.flows,
                                    rate=rate, per_flow=True, nice=_GENERATOR_NICE)
        with stream:
            time.sleep(_LEAD_SECONDS)
            for _ in range(changes):
                if not fixed:
                    # There are two cores, so this is the only other number.
                    self.workers = self.numbers.choice([n for n in (1, 2) if n != self.workers])
                self.agent.ctl("workers", "set", self.workers)
            time.sleep(_LEAD_SECONDS)
            report = stream.stop()
        dropped = {name: count - before[name] for name, count in self._drops().items()}
        return traffic.stream(report, 0 if fixed else changes, dropped=dropped)

    def trial(self, rate: float) -> dict[str, Any]:
        """Returns the worse report of a stream with one worker and one with two."""
        reports = []
        for self.workers in (2, 1):
            self.agent.ctl("workers", "set", self.workers)
            reports.append(flowgen.run(self.programs, (self.gen, "a0"), dst_mac=self.dut.mac("wan0"), rate=rate,
                                       flows=self.flows, duration=load.TRIAL_SECONDS, nice=_GENERATOR_NICE))
        return max(reports, key=lambda report: report["total"]["lost"])


def measure(chosen: argparse.Namespace, report: Report) -> None:
    report.attempt("cores", lambda: _measure(chosen, report))


def _measure(chosen: argparse.Namespace, report: Report) -> None:
    def say(text: str) -> None:
        report.say(f"cores: {text}")

    with World() as world:
        bed = Bed(world, chosen.cores_flows)
        offer = load.sustained(chosen.cores_rate, bed.trial, say)
        rate = offer.rate
        each = math.ceil(chosen.cores_changes / chosen.rounds)
        arms = {"1 worker": lambda: bed.measure(rate, each, 1), "2 workers": lambda: bed.measure(rate, each, 2),
                "workers set": lambda: bed.measure(rate, each, None)}
        streams = rounds.interleave(arms, chosen.rounds, say)
        balance = traffic.balance(bed.agent.settled())
        bed.agent.stop()
    table = Table(f"Lever cores: veth, reflect, {chosen.cores_flows} flows, workers 1 and 2, {_QUEUES} lanes",
                  ("arm", *traffic.COLUMNS, "at veth", *traffic.BLOCKED))
    for name, made in streams.items():
        veth = sum(count for one in made for where, count in one.detail["dropped"].items() if where != "dataplane")
        table.add(name, *traffic.totals(made), veth, *traffic.blocked(made))
    table.notes += [offer.words(), *(f"{arm}: {rounds.overload(streams[arm])}" for arm in _CONTROLS)]
    table.notes.append(balance)
    report.table(table)
    report.table(rounds.comparison("Lever cores, round by round", streams,
                                   [("workers set", control) for control in _CONTROLS], rounds.PER_MILLION))
    report.keep("cores", {name: [one.as_json() for one in made] for name, made in streams.items()})
