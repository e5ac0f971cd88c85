"""What processes used of a core, by the scheduler's own clock (/proc/PID/task/TID/schedstat), which is exact where
/proc/stat counts ticks.

A softirq that runs while a thread is on its core is in that thread's time; one that the kernel put off is in
ksoftirqd's. One that runs while its core idles is in nobody's: `busy`, the core's time less its idle time, has it, and
whatever else ran there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

_IDLE, _IOWAIT = 3, 4  # of /proc/stat's columns; exact on a kernel with NO_HZ (fs/proc/stat.c: get_idle_time)
_TICK_NS = 10_000_000  # USER_HZ, what /proc/stat counts in


def process_ns(pid: int, thread: str = "*") -> int:
    """Of all threads there are now, or of one."""
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
    """Per cent of a core since it was made: of each of the processes, of ksoftirqd of `core` as `softirq`, and `busy`.
    """

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
