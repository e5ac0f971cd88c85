"""Undoes changes of the machine, however the process that made them ends.

    with Undo() as undo:
        undo.namespace("net1")      # before it is made, so that no moment is left out
        ...

The undoing is done by another process, one for each process that uses this module. It works when a block ends, and when
its input does: at exit, or at death by any signal. Then it kills, besides, each process that has our mark in its
environment: all that we started.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterable
from functools import cache
from itertools import count
from pathlib import Path
from types import FrameType, TracebackType

_MARK = "SLUICE_UNDO"
_DEATH_SECONDS = 10  # a process may be in the kernel for a while, taking a large memory down
_numbers = count(1)


class Undo:
    """Changes of the machine, undone in reverse order at the end of the block, namespaces with their processes."""

    def __init__(self) -> None:
        self._undoer = _undoer()
        self._block = next(_numbers)

    def __enter__(self) -> Undo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """Undoes the changes. May be called twice."""
        self._undoer.tell(block=self._block, end=True)
        self._undoer.wait()

    def namespace(self, name: str) -> None:
        """A network namespace of this name, and every process in it."""
        self._undoer.tell(block=self._block, namespace=name)

    def folder(self, path: Path) -> None:
        """A folder, with its content."""
        self._undoer.tell(block=self._block, folder=str(path))

    def content(self, path: Path, text: str) -> None:
        """The content of a file, which is to be `text` again."""
        self._undoer.tell(block=self._block, file=str(path), text=text)


class _Undoer:
    """The other process."""

    def __init__(self) -> None:
        mark = uuid.uuid4().hex
        os.environ[_MARK] = mark
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__, mark],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a signal to our process group is not for it
        )

    def tell(self, **words: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(words).encode() + b"\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"undone\n":
            raise RuntimeError("the process that undoes our changes has ended")

    def finish(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@cache
def _undoer() -> _Undoer:
    undoer = _Undoer()

    def leave(number: int, _frame: FrameType | None) -> None:
        undoer.finish()
        os._exit(128 + number)

    in_main = threading.current_thread() is threading.main_thread()
    for number in (signal.SIGTERM, signal.SIGHUP) if in_main else ():
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, leave)
    return undoer


def _kill(pids: Iterable[int]) -> None:
    dying = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            process = os.pidfd_open(pid)
            signal.pidfd_send_signal(process, signal.SIGKILL)
            dying.append(process)
    for process in dying:
        select.select([process], [], [], _DEATH_SECONDS)
        os.close(process)


def _marked(mark: str) -> Iterable[int]:
    wanted = f"{_MARK}={mark}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(folder.name) != os.getpid() and wanted in (folder / "environ").read_bytes().split(b"\0"):
                yield int(folder.name)


def _undo(changes: list[dict[str, str]]) -> None:
    for change in reversed(changes):
        try:
            _undo_one(change)
        except OSError as error:
            print(f"undoing {change}: {error}", file=sys.stderr)


def _undo_one(change: dict[str, str]) -> None:
    if name := change.get("namespace"):
        listed = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True).stdout
        _kill(map(int, listed.split()))
        subprocess.run(["ip", "netns", "del", name], capture_output=True)
    elif folder := change.get("folder"):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        Path(change["file"]).write_text(change["text"], encoding="ascii")


def main(mark: str) -> None:
    """Reads changes from standard input, and undoes each block's at its end."""
    blocks: dict[int, list[dict[str, str]]] = {}
    for line in sys.stdin.buffer:
        change = json.loads(line)
        block = change.pop("block")
        if not change.pop("end", False):
            blocks.setdefault(block, []).append(change)
            continue
        _undo(blocks.pop(block, []))
        with contextlib.suppress(BrokenPipeError):
            print("undone", flush=True)
    # Twice, since a process may have started another one meanwhile.
    for _ in range(2):
        _kill(_marked(mark))
    for changes in reversed(blocks.values()):
        _undo(changes)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    main(sys.argv[1])
