"""Connects this process's terminal to a guest's shell."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import sys
import termios
import tty
from collections.abc import Callable
from pathlib import Path
from types import FrameType

_DETACH = b"\x1d"  # Ctrl-]
_ENDED = b"\x1b]sluice-shell-ended\x07"  # written by the guest's init


def attach(path: Path, resize: Callable[[int, int], None]) -> None:
    """Copies between the terminal and the socket until the shell's end or Ctrl-].

    `resize` tells the guest the terminal's size, at first and when it changes.
    """
    keyboard, screen = sys.stdin.fileno(), sys.stdout.fileno()
    if not os.isatty(keyboard):
        raise OSError("standard input is not a terminal")

    def on_resize(_number: int, _frame: FrameType | None) -> None:
        columns, rows = shutil.get_terminal_size()
        resize(rows, columns)

    before = termios.tcgetattr(keyboard)
    handler = signal.signal(signal.SIGWINCH, on_resize)
    shell = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        shell.connect(str(path))
        on_resize(signal.SIGWINCH, None)
        tty.setraw(keyboard)
        shell.sendall(b"\n")  # makes the shell show its prompt
        _copy(keyboard, screen, shell)
    finally:
        shell.close()
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
        signal.signal(signal.SIGWINCH, handler)
        os.write(screen, b"\r\n")


def _copy(keyboard: int, screen: int, shell: socket.socket) -> None:
    held = b""
    while True:
        ready, _, _ = select.select([keyboard, shell], [], [])
        if keyboard in ready:
            typed = os.read(keyboard, 4096)
            if not typed or _DETACH in typed:
                return
            shell.sendall(typed)
        if shell in ready:
            said = shell.recv(4096)
            shown, held, ended = _split_at_end(held + said)
            os.write(screen, shown)
            if ended or not said:
                return


def _split_at_end(data: bytes) -> tuple[bytes, bytes, bool]:
    """Splits output into the text to show and a possible first part of the mark; and tells whether the mark came."""
    shown, mark, _ = data.partition(_ENDED)
    if mark:
        return shown, b"", True
    for length in range(min(len(_ENDED) - 1, len(data)), 0, -1):
        if data.endswith(_ENDED[:length]):
            return data[:-length], data[-length:], False
    return data, b"", False
