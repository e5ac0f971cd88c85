"""Sluice in a guest: the files that it needs there, its start, and sluicectl.

    with TestNet(taps=1) as net, Guest(files=product_files(build), ...) as guest:
        function = NetworkFunction(guest, config("reflect", ports=1))
        function.start()
        function.resize(4).check()
        print(function.status()["ports"][0]["queue_pairs"])
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from . import Background, Guest, GuestError, GuestFile, Result

_START_SECONDS = 180
_RESIZE_SECONDS = 180


def product_files(build: Path) -> list[GuestFile]:
    """Lists the files of a build folder for a guest, at the paths of an installation."""
    objects = sorted((build / "bpf").glob("*.bpf.o"))
    return [
        GuestFile("/usr/sbin/sluice-agent", build / "control/agent/sluice-agent"),
        GuestFile("/usr/sbin/sluice-dataplane", build / "dataplane/process/sluice-dataplane"),
        GuestFile("/usr/bin/sluicectl", build / "control/cli/sluicectl"),
        *(GuestFile(f"/usr/lib/sluice/{path.name}", path, 0o644) for path in objects),
    ]


def config(
    function: str, ports: int, queue_pairs: int = 1, mode: str = "auto", extra: str = "", port_extra: str = ""
) -> str:
    """Returns a configuration for the guest's first `ports` devices, called wan, lan, ..."""
    names = ["wan", "lan", "dmz", "mgmt"]
    tables = "".join(
        f'[[port]]\nname = "{names[i]}"\nnetdev = "eth{i}"\n{port_extra}\n' for i in range(ports)
    )
    dataplane = f'[dataplane]\nqueue_pairs = {queue_pairs}\nmode = "{mode}"\n{extra}\n'
    return f'{tables}{dataplane}[function]\ntype = "{function}"\n'


class NetworkFunction:
    """An agent, and through it a dataplane, in `guest`."""

    def __init__(self, guest: Guest, toml: str) -> None:
        self.guest = guest
        self.toml = toml
        self.agent: Background | None = None

    def start(self, *options: str) -> None:
        """Starts the agent and returns once it answers."""
        self.guest.put("/etc/sluice/sluice.toml", self.toml)
        self.agent = self.guest.spawn(f"sluice-agent {' '.join(options)}")
        deadline = time.monotonic() + _START_SECONDS
        while self.ctl("status").rc != 0:
            if not self.agent.running():
                raise GuestError(f"sluice-agent ended:\n{self.agent.output()}")
            if time.monotonic() > deadline:
                raise GuestError(f"sluice-agent does not answer:\n{self.agent.output()}")
            time.sleep(0.2)

    def stop(self) -> Result:
        """Sends SIGTERM to the agent, and waits until it has put everything back."""
        assert self.agent is not None
        # Not Background.stop(), which would also end the shell that notes the exit code.
        self.guest.run("kill -TERM $(pidof sluice-agent)").check()
        return self.agent.wait()

    def ctl(self, *words: str) -> Result:
        """Runs sluicectl in the guest."""
        return self.guest.run("sluicectl " + " ".join(words))

    @staticmethod
    def resize_command(pairs: int, *options: str) -> str:
        """Returns `sluicectl queues set`, with the time that an emulated guest needs on a starved machine."""
        return " ".join(["sluicectl queues set", str(pairs), "--timeout", f"{_RESIZE_SECONDS}s", *options])

    def resize(self, pairs: int, *options: str) -> Result:
        """Runs resize_command() in the guest."""
        return self.guest.run(self.resize_command(pairs, *options), timeout=2 * _RESIZE_SECONDS)

    def status(self) -> dict[str, Any]:
        """Returns `sluicectl status -o json`, with whole numbers where protobuf writes strings."""
        return _with_integers(json.loads(self.ctl("status", "-o", "json").check().out))


def _with_integers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    if isinstance(value, str) and value.lstrip("-").isdigit():
        return int(value)
    return value
