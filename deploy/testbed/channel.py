"""Talks to the guest's command server over one virtio-serial port.

The protocol is in `serve`, its other half.
"""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from pathlib import Path


class GuestError(RuntimeError):
    """Something went wrong in a guest."""


class GuestDied(GuestError):
    """The guest is gone, or does not answer any more."""


class GuestTimeout(GuestError):
    """A script ran too long and was killed. `out` is its output until then."""

    def __init__(self, message: str, out: str = "") -> None:
        super().__init__(message)
        self.out = out


@dataclass(frozen=True)
class Result:
    """A script's exit code, and its output, standard error included."""

    rc: int
    raw: bytes
    script: str = ""

    @property
    def out(self) -> str:
        """The output as text."""
        return self.raw.decode(errors="replace")

    def check(self) -> Result:
        """Returns this result if the script succeeded; otherwise raises an error that shows the output."""
        if self.rc != 0:
            raise GuestError(f"exit code {self.rc} from {self.script!r}:\n{self.out}")
        return self


class Channel:
    """One command port. Carries one request at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.connect(str(path))
        self._unread = b""
        self._last_id = 0

    def close(self) -> None:
        """Hangs up."""
        self._socket.close()

    def send(self, words: str, body: bytes = b"") -> int:
        """Sends a request; returns its number."""
        self._last_id += 1
        self._socket.sendall(f"{self._last_id} {words}\n".encode() + body)
        return self._last_id

    def request(self, words: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        """Sends a request and waits for its answer: exit code and output.

        After an exception the channel must not be used again, since the answer
        may still come.
        """
        deadline = time.monotonic() + timeout
        self._socket.settimeout(timeout)
        try:
            number = self.send(words, body)
            while b"\n" not in self._unread:
                self._receive(deadline)
            line, self._unread = self._unread.split(b"\n", 1)
            answered, code, size = (int(word) for word in line.split())
            if answered != number:
                raise GuestDied(f"answer {answered} to request {number}")
            chunks = bytearray(self._unread)
            self._unread = b""
            while len(chunks) < size:
                self._receive(deadline)
                chunks += self._unread
                self._unread = b""
            self._unread = bytes(chunks[size:])
            return code, bytes(chunks[:size])
        except TimeoutError as error:
            raise GuestDied(f"no answer from the guest for {timeout:.0f} s") from error
        except OSError as error:
            raise GuestDied(f"the guest hung up: {error}") from error

    def _receive(self, deadline: float) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        data = self._socket.recv(1 << 16)
        if not data:
            raise GuestDied("the guest is gone")
        self._unread += data
