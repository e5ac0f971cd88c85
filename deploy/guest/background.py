"""Scripts that run in a guest by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .channel import Result

if TYPE_CHECKING:
    from .guest import Guest


class Background:
    """A script that runs in the guest by itself. `log` is its output's path there."""

    def __init__(self, guest: Guest, pid: int, log: str) -> None:
        self._guest = guest
        self.pid = pid
        self.log = log

    def output(self) -> str:
        """What it has written so far."""
        return self._guest.get(self.log).decode(errors="replace")

    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._guest.run(f"[ ! -e {self.log}.exit ] && kill -0 {self.pid}").rc == 0

    def stop(self, signal: str = "TERM") -> None:
        """Signals it and all it has started."""
        self._guest.run(f"kill -s {signal} -- -{self.pid}")

    def wait(self, timeout: float = 120) -> Result:
        """Waits for its end."""
        script = f"until [ -e {self.log}.exit ]; do sleep 0.1; done; cat {self.log}.exit"
        code = int(self._guest.run(script, timeout).check().out)
        return Result(code, self._guest.get(self.log), f"background {self.pid}")
