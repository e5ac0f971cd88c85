"""Loss, order, duplicates and blocked time of changes of queue pairs and workers while packets flow, per lever.

A control arm without changes and the peers run in the same rounds. Compare figures within one run, not across runs or
machines.
"""

from __future__ import annotations

import argparse

from tests.bench.levers import channels, cores, spread
from tests.bench.lib.report import Report

_LEVERS = {"cores": cores, "channels": channels, "spread": spread}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--lever", action="append", choices=_LEVERS, help="only this one; may be repeated")
    parser.add_argument("--rounds", type=int, default=7, help="of every arm, for cores and spread (7)")
    for lever in _LEVERS.values():
        lever.options(parser)


def measure(chosen: argparse.Namespace, report: Report) -> None:
    for name in chosen.lever or _LEVERS:
        _LEVERS[name].measure(chosen, report)
