"""Cost of finding an offloaded flow among 1,000 to 1,000,000, in the dataplane and in XDP.

It measures the product's look-ups alone, without packets: `burst` is LaneOffload::Lookup on full bursts of 64 frames,
`XDP` is find_offloaded of bpf/flows.h, in a loop in the kernel. Flows are chosen uniformly at random, and both arms
look into the same table, a BPF array that the dataplane's code has filled. It has two entries for each flow, rounded up
to a power of two.

XDP is measured twice. `one by one`: each look-up waits for the entry that the one before has found. `in a row`: it does
not wait, and the CPU fetches the entries of several look-ups at a time. Packets are between the two: some hundred
instructions separate two look-ups. The time of the loop and its key is subtracted from both; a note of the table says
how much it is.

Each round has every number of flows once, each in a separate process, so that the table lies in other pages. A figure
is the median of 512 pieces of 4,096 look-ups (tests/bench/lookup).
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from tests.bench.lib import figures, plot
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build, command

# All benches have the device under test on this core.
_CORE = 1
_BURST, _ONE_BY_ONE, _IN_A_ROW = "burst", "XDP, one by one", "XDP, in a row"
_ARMS = (_BURST, _ONE_BY_ONE, _IN_A_ROW)
_MEGABYTE = 1e6
# The goal of the burst look-up: its time with a million flows, in multiples of its time with a thousand.
_MOST_TIMES = 3.0


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="(15)")
    parser.add_argument("--flows", nargs="+", type=int, default=[1_000, 10_000, 100_000, 1_000_000], metavar="N",
                        help="the others are compared with the first (1000 10000 100000 1000000)")


def _sample(flows: int) -> dict[str, Any]:
    """Runs flow_lookup; returns its answer, with each arm's nanoseconds a look-up."""
    done = command.run("taskset", "-c", _CORE, build.Programs().flow_lookup, "--flows", flows)
    said = json.loads(done.stdout)
    loop = said["xdp_loop_ns"]
    return {**said, _BURST: said["burst_ns"], _ONE_BY_ONE: said["xdp_one_by_one_ns"] - loop,
            _IN_A_ROW: said["xdp_in_a_row_ns"] - loop}


def measure(chosen: argparse.Namespace, report: Report) -> None:
    samples: dict[int, list[dict[str, Any]]] = {flows: [] for flows in chosen.flows}
    for number in range(1, chosen.rounds + 1):
        for flows, made in samples.items():
            made.append(_sample(flows))
        report.say(f"round {number}: " + "; ".join(
            f"{flows:,}: " + ", ".join(f"{arm} {made[-1][arm]:.1f} ns" for arm in _ARMS)
            for flows, made in samples.items()))
    report.keep("samples", {str(flows): made for flows, made in samples.items()})
    report.table(_times(samples))
    report.table(_ratios(samples))
    curves = {arm: [_point(flows, [one[arm] for one in made]) for flows, made in samples.items()] for arm in _ARMS}
    path = plot.curves(report.file(".svg"), "Finding an offloaded flow", "flows", "ns a look-up", curves, log_x=True)
    report.say(f"curve: {path}")


def _point(flows: int, times: list[float]) -> plot.Point:
    found = figures.quartiles(times)
    assert found is not None
    return plot.Point(flows, found.middle, found.low, found.high)


def _times(samples: dict[int, list[dict[str, Any]]]) -> Table:
    table = Table("Flows: finding an offloaded one, ns a look-up",
                  ("look-up", "flows", "entries", "MB", "rounds", "q1", "median", "q3"))
    for arm in _ARMS:
        for flows, made in samples.items():
            found = figures.quartiles(one[arm] for one in made)
            assert found is not None
            table.add(arm, flows, made[0]["entries"], made[0]["bytes"] / _MEGABYTE, found.rounds, *found[:3])
    loop = figures.median(one["xdp_loop_ns"] for made in samples.values() for one in made)
    table.notes += [f"from XDP's times {loop:.1f} ns are subtracted for the loop and its key",
                    "flows replaced by others since both of their buckets were full: " + ", ".join(
                        f"{made[0]['left_out']:,} for {flows:,}" for flows, made in samples.items())]
    return table


def _ratios(samples: dict[int, list[dict[str, Any]]]) -> Table:
    base, *others = samples
    table = Table(f"Flows: against {base:,}, round by round", ("look-up", "flows", "rounds", "q1", "median", "q3"))
    for arm in _ARMS:
        for flows in others:
            found = figures.quartiles(figures.ratios([one[arm] for one in samples[base]],
                                                     [one[arm] for one in samples[flows]]))
            assert found is not None
            table.add(arm, flows, found.rounds, *found[:3])
    table.notes.append(f"the goal: burst with 1,000,000 flows at most {_MOST_TIMES:.0f} times that with 1,000")
    return table
