"""CPU time of processes by the scheduler's own clock (/proc/PID/task/TID/schedstat), which is exact, while /proc/stat
counts ticks.

A softirq that runs on top of a thread counts as that thread's time; a softirq that the kernel put off counts as
ksoftirqd's. A softirq that runs while the core idles is in no process's time. `busy`, the core's time less its idle
time, includes it, and everything else that ran on the core.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

_IDLE, _IOWAIT = 3, 4  # of /proc/stat's columns; exact on a kernel with NO_HZ (fs/proc/stat.c: get_idle_time)
_TICK_NS = 10_000_000  # USER_HZ, the unit of /proc/stat


def process_ns(pid: int, thread: str = "*") -> int:
    """Returns the CPU time of all threads that exist now, or of one."""
    threads = Path(f"/proc/{pid}/task").glob(f"{thread}/schedstat")
    return sum(int(path.read_text(encoding="ascii").split()[0]) for path in threads)


def _ksoftirqd(core: int) -> int:
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text(encoding="ascii").strip() == f"ksoftirqd/{core}":
                return int(path.parent.name)
        except OSError:
            pass  # ended meanwhile
    raise LookupError(f"no ksoftirqd/{core}")


def _idle_ns(core: int) -> int:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *counts = line.split()
        if name == f"cpu{core}":
            return (int(counts[_IDLE]) + int(counts[_IOWAIT])) * _TICK_NS
    raise LookupError(f"no core {core}")


class Meter:
    """Measures, from when it is made, the per cent of a core that each process uses, that ksoftirqd of `core` uses
    (`softirq`), and `busy`."""

    def __init__(self, pids: Mapping[str, int], core: int) -> None:
        self._pids = {**pids, "softirq": _ksoftirqd(core)}
        self._core = core
        self._before = self._now()

    def _now(self) -> dict[str, int]:
        used = {name: process_ns(pid) for name, pid in self._pids.items()}
        return {**used, "idle": _idle_ns(self._core), "time": time.monotonic_ns()}

    def read(self) -> dict[str, float]:
        passed = {name: now - self._before[name] for name, now in self._now().items()}
        percent = {name: 100 * ns / passed["time"] for name, ns in passed.items() if name != "time"}
        idle = percent.pop("idle")
        return {**percent, "busy": 100 - idle}
