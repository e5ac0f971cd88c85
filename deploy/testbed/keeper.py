"""Runs a command that must not outlive the process that asked for it.

    python3 keeper.py COMMAND ...

The caller holds the other end of standard input and never writes to it. End of
file, which comes however the caller ended, tells this process to stop the command.
If this process itself is killed, the kernel kills the command.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 3


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _raise_exit(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


def main(command: list[str]) -> int:
    """Runs the command; returns its exit code, 128 more than the signal if it died by one."""
    signal.signal(signal.SIGTERM, _raise_exit)
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    try:
        ended = os.pidfd_open(child.pid)
        select.select([sys.stdin.fileno(), ended], [], [])
        if child.poll() is None:
            child.terminate()
        code = child.wait(_GRACE_SECONDS)
        return 128 - code if code < 0 else code
    except subprocess.TimeoutExpired:
        return 1
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
