"""The frequency of this machine's time-stamp counter, which an emulated x86 guest reads unchanged.

QEMU's rdtsc is the host's (accel/tcg: cpus_get_elapsed_ticks), and a guest that boots on a busy machine measures it
badly (arch/x86/kernel/tsc.c: pit_calibrate): its clock then ran at up to ten times the right speed.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import time
from collections.abc import Callable

_RDTSC = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl $32, %rdx; or %rdx, %rax; ret
_APART_SECONDS = 0.05
_TRIES = 50


def tsc_khz() -> int | None:
    """Measures it against the monotonic clock, for a twentieth of a second; None if this is no x86 machine."""
    if platform.machine() != "x86_64":
        return None
    with mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC) as code:
        code.write(_RDTSC)
        place = ctypes.c_char.from_buffer(code)
        read_tsc = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(place))
        began_ns, began = _both(read_tsc)
        time.sleep(_APART_SECONDS)
        ended_ns, ended = _both(read_tsc)
        del place, read_tsc
    return (ended - began) * 1_000_000 // (ended_ns - began_ns)


def _both(read_tsc: Callable[[], int]) -> tuple[int, int]:
    """Reads both clocks at nearly the same time; of some readings returns the one that was interrupted least."""
    best = None
    for _ in range(_TRIES):
        before = time.monotonic_ns()
        ticks = read_tsc()
        took = time.monotonic_ns() - before
        if best is None or took < best[0]:
            best = (took, before + took // 2, ticks)
    assert best is not None
    return best[1:]
