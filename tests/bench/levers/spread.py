"""Lever spread: the device's RSS table changes (`sluicectl queues set`, all pairs stay open) while a stream goes
through a guest.

Measures loss, order and duplicates with many changes between 1 and 4 pairs and, in the same rounds, with the same
number of calls of sluicectl that change nothing. Copy mode on kernel 6.12, zero-copy on 7.

It does not measure the lever's cost to the host. Guests are emulated where KVM does not work; the table says which.
"""

from __future__ import annotations

import argparse
import math
import random
from functools import partial
from typing import Any

from tests.bench.levers import guest
from tests.bench.lib import rounds, traffic
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib.vm import booted

_SEED = 20120704
_PAIRS = 4
_VARIANTS: dict[str, dict[str, Any]] = {"6.12": {"rss": True}, "7": {"rss": True, "zero_copy": True}}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--spread-changes", type=int, default=100, metavar="N", help="changes in all, per kernel (100)")
    parser.add_argument("--spread-rate", type=int, default=3000, metavar="PPS", help="(3000)")
    parser.add_argument("--spread-flows", type=int, default=64, metavar="N", help="(64)")
    parser.add_argument("--spread-kernels", nargs="+", default=list(_VARIANTS), choices=_VARIANTS)


def _calls(function: Any, sizes: list[int]) -> dict[str, Any]:
    methods: dict[str, int] = {}
    failed = []
    for size in sizes:
        done = function.ctl("queues", "set", str(size), "-o", "json")
        if done.rc != 0:
            failed.append(done.out.strip())
            continue
        method = done.out.split('"method"', 1)[1].split('"')[1]
        methods[method] = methods.get(method, 0) + 1
    return {"methods": methods, "failed": failed}


def _variant(kernel: str, chosen: argparse.Namespace, report: Report) -> None:
    each = math.ceil(chosen.spread_changes / chosen.rounds)
    numbers = random.Random(_SEED)
    now = _PAIRS

    def say(text: str) -> None:
        report.say(f"spread {kernel}: {text}")

    def next_sizes() -> list[int]:
        nonlocal now
        sizes = []
        for _ in range(each):
            now = numbers.choice([size for size in range(1, _PAIRS + 1) if size != now])
            sizes.append(now)
        return sizes

    with booted(kernel, thread_per_cpu=True, **_VARIANTS[kernel]) as vm:
        function = vm.start("reflect", queue_pairs=_PAIRS)
        where = guest.describe(vm, function)
        offer = guest.offer(vm, chosen.spread_rate, chosen.spread_flows, say)

        def stream(change: bool) -> traffic.Stream:
            return guest.stream_while(vm, lambda: _calls(function, next_sizes() if change else [now] * each),
                                      changes=each if change else 0, rate=offer.rate, flows=chosen.spread_flows)

        arms = {"without changes": lambda: stream(False), "queues set": lambda: stream(True)}
        streams = rounds.interleave(arms, chosen.rounds, say)
        balance = traffic.balance(function.status())
        function.stop()
    table = Table(f"Lever spread: {where}, rss, {_PAIRS} open pairs, {chosen.spread_flows} flows",
                  ("arm", *traffic.COLUMNS, *traffic.BLOCKED))
    for name, made in streams.items():
        table.add(name, *traffic.totals(made), *traffic.blocked(made))
    table.notes += [offer.words(), rounds.overload(streams["without changes"])]
    for name, made in streams.items():
        methods = {method for one in made for method in one.detail["methods"]}
        failed = [words for one in made for words in one.detail["failed"]]
        said = f": {failed[0]}" if failed else ""
        table.notes.append(f"{name}: lever {', '.join(sorted(methods)) or '-'}, {len(failed)} failed{said}")
    table.notes.append(balance)
    report.table(table)
    report.table(rounds.comparison(f"Lever spread, kernel {kernel}, round by round", streams,
                                   [("queues set", "without changes")], rounds.PER_MILLION))
    report.keep(f"spread {kernel}", {name: [one.as_json() for one in made] for name, made in streams.items()})


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for kernel in chosen.spread_kernels:
        report.attempt(f"spread {kernel}", partial(_variant, kernel, chosen, report))
