"""Kills a running program, or has the kernel refuse, at exactly the N-th system call of a kind. strace does it, so the
program needs no support for it and timing has no influence.

    with Fault(world, pid, "sendmsg", 3, "signal=KILL") as fault:
        ...
    if not fault.struck(): ...        # it made fewer such calls

Only the thread `pid` is traced: the whole agent, the dataplane's control thread.
"""

import ctypes
import os
from pathlib import Path

from tests.lib.command import run, wait_until

# Field 9 of /proc/PID/stat, of proc(5); include/linux/sched.h.
PF_EXITING = 0x4

KILL = "signal=KILL"


def refusal(errno):
    """Returns the fault by which the call is not made and fails with `errno`."""
    return f"error={errno}"


class Fault:
    def __init__(self, world, pid, call, number, what):
        self.pid = pid
        self.log = world.folder / f"strace-{pid}-{call}-{number}"
        self.process = world.start("strace", "-p", pid, "-o", self.log, "-e", f"trace={call}",
                                   "-e", f"inject={call}:{what}:when={number}")
        wait_until(lambda: "attached" in self.process.output() or not self.process.running(), "strace attached")
        assert self.process.running(), self.process.output()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        """Detaches strace, which ends by itself if the program is dead."""
        self.process.stop()

    def struck(self):
        """Tells, after the block, whether the call was reached. A kill is seen by the program's end and not by strace's
        log: strace may be stopped after the program has ended and before it has logged that."""
        return "(INJECTED)" in self.log.read_text() or is_ending(self.pid)


def is_ending(pid):
    try:
        flags = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[6]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return bool(int(flags) & PF_EXITING)


class StoppedThread:
    """Stops one thread of a program, as a tracer does; a signal would stop all of them. The thread stays stopped until
    the end of the block, or until its program is killed."""

    PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
    WALL = 0x40000000

    def __init__(self, thread):
        self.thread = thread
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self._ask(self.PTRACE_SEIZE)
        self._ask(self.PTRACE_INTERRUPT)
        os.waitpid(thread, self.WALL)

    def _ask(self, request):
        if self.libc.ptrace(request, self.thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {self.thread}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        try:
            self._ask(self.PTRACE_DETACH)
        except OSError:  # it was killed meanwhile
            os.waitpid(self.thread, self.WALL)


def threads(pid):
    """Returns {name: id} of a program's threads."""
    folder = Path(f"/proc/{pid}/task")
    return {(folder / thread / "comm").read_text().strip(): int(thread) for thread in os.listdir(folder)}
