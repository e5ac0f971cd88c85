"""Measures devices under test at saturation, in turn, and makes tables of their rates.

The machine may have other work. The CPU time of other processes is measured too (`strangers`), and a measurement in
which they used more than STRANGERS_PERCENT of a core is repeated, a few times.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench.lib import figures
from tests.bench.lib.devices import Device
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build

STRANGERS_PERCENT = 10
_TRIES = 5
_PAUSE_SECONDS = 2
_KTHREADD = 2
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Load(NamedTuple):
    """A load, as options of liveload."""

    name: str
    options: Mapping[str, Any]
    bytes: float  # of a frame, on average


SIZES = {str(size): Load(f"{size} B", {"size": size}, size) for size in (64, 256, 512, 1024, 1514)}
LOADS = {**SIZES, "imix": Load("IMIX", {"imix": True}, (7 * 64 + 4 * 590 + 1514) / 12)}


class Used(NamedTuple):
    parent: int
    ticks: int  # of the process and its ended children


def _used() -> dict[int, Used]:
    """Returns the CPU time of every process, by its id."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # ended meanwhile
        found[int(stat.parent.name)] = Used(int(fields[1]), sum(map(int, fields[11:15])))
    return found


def strange_ticks(before: Mapping[int, Used], now: Mapping[int, Used], mine: Sequence[int]) -> int:
    """Returns the ticks of all processes but `mine`, their descendants, and the kernel's threads."""
    def is_strange(pid: int) -> bool:
        while pid > 1:
            if pid in mine or pid == _KTHREADD:
                return False
            pid = now[pid].parent if pid in now else 0
        return True

    return sum(used.ticks - (before[pid].ticks if pid in before else 0) for pid, used in now.items() if is_strange(pid))


class Strangers:
    """Measures, from when it is made, the per cent of a core that other processes use: all but this process, `mine`,
    and the descendants of these."""

    def __init__(self, mine: Sequence[int]) -> None:
        self._mine = [os.getpid(), *mine]
        self._before = _used()
        self._began = time.monotonic()

    def percent(self) -> float:
        ticks = strange_ticks(self._before, _used(), self._mine)
        return 100 * ticks / _TICKS_PER_SECOND / (time.monotonic() - self._began)


Runs = dict[str, list[dict[str, Any]]]


def _measure(device: Device, programs: build.Programs, placement: str, seconds: float, load: Load) -> dict[str, Any]:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_PAUSE_SECONDS)
        strangers = Strangers(device.pids())
        run = device.measure(programs, placement, seconds, **load.options)
        run["strangers"] = strangers.percent()
        if run["strangers"] <= STRANGERS_PERCENT:
            break
    return run


def interleave(devices: Sequence[Device], rounds: int, placement: str, seconds: float, load: Load,
               report: Report, first: Mapping[str, Any] | None = None) -> Runs:
    """Measures each device once per round, in the order given; `first` are more options for the first round's load."""
    programs = build.Programs()
    runs: Runs = {device.name: [] for device in devices}
    for number in range(1, rounds + 1):
        for device in devices:
            sent = load._replace(options={**load.options, **(first or {})}) if number == 1 else load
            runs[device.name].append(_measure(device, programs, placement, seconds, sent))
        said = ", ".join(f"{name} {made[-1]['pps'] / 1e6:.3f}" for name, made in runs.items())
        report.say(f"{load.name}, {placement}, round {number} of {rounds}: Mpps {said}")
    return runs


def mpps(runs: Sequence[dict[str, Any]]) -> list[float]:
    return [run["pps"] / 1e6 for run in runs]


def better(runs: Runs, names: Sequence[str]) -> str:
    """Returns the device of `names` with the highest median."""
    return max(names, key=lambda name: figures.median(mpps(runs[name])) or 0)


COLUMNS = ("load, device", "rounds", "offered Mpps", "Mpps q1", "median", "q3", "Gbit/s", "wrong",
           "to the better testpmd q1", "ratio", "q3 ")


def add_rows(table: Table, load: Load, runs: Runs, peers: Sequence[str]) -> None:
    """Adds rows to a table with COLUMNS. The ratio is round by round, to the peer with the highest median."""
    best = better(runs, peers)
    for name, made in runs.items():
        rate = figures.quartiles(mpps(made))
        ratio = None if name == best else figures.quartiles(figures.ratios(mpps(runs[best]), mpps(made)))
        if rate is None:
            continue
        offered = figures.median(run["window"]["sent"] / run["seconds"] / 1e6 for run in made)
        table.add(f"{load.name}: {name}{' (better)' if name == best else ''}", rate.rounds, offered, *rate[:3],
                  rate.middle * load.bytes * 8 / 1e3, sum(run["total"]["wrong"] for run in made),
                  *(ratio[:3] if ratio else (None, None, None)))


def notes(runs: Sequence[Runs], limited: Sequence[str]) -> list[str]:
    """Returns notes on doubtful figures: a device was not saturated (the `limited` ones need not be), or other
    processes used the machine."""
    everything = [(name, run) for one in runs for name, made in one.items() for run in made]
    idle = [name for name, run in everything if run["dropped"] == 0 and name not in limited]
    disturbed = sum(run["strangers"] > STRANGERS_PERCENT for _, run in everything)
    said = [f"NOT saturated, nothing dropped before it: {name} in {idle.count(name)} runs"
            for name in sorted(set(idle))]
    if disturbed:
        said.append(f"in {disturbed} of {len(everything)} runs other processes used more than {STRANGERS_PERCENT} % "
                    f"of a core, in each of {_TRIES} tries")
    return said or ["every device dropped frames before it, so it was saturated; no other process used the machine"]
