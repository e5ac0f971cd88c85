"""A network namespace with tap devices, for guests to be plugged into."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from itertools import count
from types import TracebackType
from typing import Any

from .undo import Undo

_PREFIX = "sluice-test"
_numbers = count(1)


def _ip(*words: str) -> str:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


class TestNet:
    """A namespace with `taps` multiqueue tap devices, up, without IPv6.

    `offloads` leaves the taps' own offloads on; without them packets to the
    guest have full checksums and fit the MTU. The guest's QEMU has to run in
    the namespace `name`.
    """

    __test__ = False  # not a test case, although pytest would take the name for one

    def __init__(self, taps: int = 2, queues: int = 4, offloads: bool = False) -> None:
        self.name = f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
        self.taps = [f"tap{index}" for index in range(taps)]
        self._queues = queues
        self._offloads = offloads
        self._undo = Undo()

    def __enter__(self) -> TestNet:
        try:
            self._add_namespace(self.name)
            for tap in self.taps:
                self._add_tap(tap)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Removes namespace and taps. May be called twice."""
        self._undo.end()

    def _add_namespace(self, name: str) -> None:
        self._undo.namespace(name)
        _ip("netns", "add", name)
        for scope in ("all", "default"):
            path = f"/proc/sys/net/ipv6/conf/{scope}/disable_ipv6"
            # Absent if the kernel has no IPv6; then there is nothing to turn off.
            self.exec(["dd", f"of={path}", "status=none"], input=b"1", check=False, netns=name)
        _ip("-n", name, "link", "set", "lo", "up")

    def _add_tap(self, tap: str) -> None:
        # QEMU opens a device of one queue without multi_queue.
        queues = ["multi_queue"] if self._queues > 1 else []
        words = ["tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr", *queues]
        _ip("-n", self.name, *words)
        if not self._offloads:
            off = [word for name in ("tx", "tso", "gso", "gro") for word in (name, "off")]
            self.exec(["ethtool", "-K", tap, *off])
        _ip("-n", self.name, "link", "set", tap, "up")

    def isolate(self, tap: str) -> str:
        """Moves a tap into a namespace made for it, and returns that namespace's name.

        Then traffic between two taps has to go through the guest. Call it only
        once the guest runs: QEMU opens the taps in the namespace `name`.
        """
        name = f"{self.name}-{tap}"
        self._add_namespace(name)
        _ip("-n", self.name, "link", "set", tap, "netns", name)
        _ip("-n", name, "link", "set", tap, "up")
        return name

    def exec(
        self, command: Sequence[str], *, netns: str | None = None, check: bool = True, **more: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Runs a command in the namespace and returns its output."""
        more.setdefault("capture_output", True)
        return subprocess.run(self.command(command, netns), check=check, **more)

    def command(self, command: Sequence[str], netns: str | None = None) -> list[str]:
        """The command line that runs `command` in the namespace."""
        return ["ip", "netns", "exec", netns or self.name, *command]
