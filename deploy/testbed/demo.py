"""The last step of deploy/quickstart: a guest, real packets, three resizes, one table.

Two kinds of traffic go through the guest. The packets of a steady stream are counted across the resizes, to show
whether a resize loses any. Fresh flows are sent in every phase; the table shows on which queue pairs they land.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import Guest, Nic, TestNet, fetch_kernel, fetch_qemu
from .network_function import NetworkFunction, config, product_files

_SERIES = "6.12"
_QUEUES = 4
_PHASES = (1, 4, 2)
_MAC = "52:54:00:51:1c:00"
_STEADY = {"flows": 16, "rate": 500}
_FRESH = {"flows": 64, "rate": 500, "seconds": 3}
_FRESH_SOURCES = "198.18.{}.1"  # one network for each phase, so that its flows are new to the device


@dataclass
class Phase:
    pairs: int
    per_queue: list[int]
    resize: dict[str, Any] | None
    fresh: dict[str, Any]


def say(text: str) -> None:
    """Prints a line of progress, at once."""
    print(text, flush=True)


class Generator:
    """flowgen, which sends into the guest's first tap and counts the packets that come back."""

    def __init__(self, build: Path, net: TestNet, *options: str) -> None:
        program = build / "tests/traffic/flowgen"
        words = ["--netns", net.name, "--tx", net.taps[0], "--dst-mac", _MAC, "-o", "json", *options]
        self._process = subprocess.Popen([str(program), *words], stdout=subprocess.PIPE, text=True)

    def finish(self) -> dict[str, Any]:
        """Ends the stream, waits for late packets, returns the totals."""
        self._process.terminate()
        return self.wait()

    def wait(self) -> dict[str, Any]:
        """Returns the totals, once it has ended by itself."""
        output, _ = self._process.communicate(timeout=120)
        total = json.loads(output)["total"]
        return {key: int(value) for key, value in total.items()}


def queue_packets(function: NetworkFunction) -> list[int]:
    """Returns the packets that each queue pair has received so far."""
    return [queue["rx_packets"] for queue in function.status()["ports"][0]["queues"]]


def run_phase(number: int, build: Path, net: TestNet, function: NetworkFunction) -> Phase:
    """Resizes to the phase's pairs, sends fresh flows, and counts them by queue pair."""
    pairs = _PHASES[number]
    resize = None
    if number > 0:
        say(f"   {function.resize_command(pairs)}")
        function.resize(pairs).check()
        resize = function.status()["last_resize"]
    before = queue_packets(function)
    fresh = Generator(
        build,
        net,
        *("--flows", str(_FRESH["flows"]), "--rate", str(_FRESH["rate"])),
        *("--duration", str(_FRESH["seconds"]), "--src-ip", _FRESH_SOURCES.format(1 + number)),
    ).wait()
    after = queue_packets(function)
    return Phase(pairs, [b - a for a, b in zip(before, after)], resize, fresh)


def print_table(phases: list[Phase], steady: dict[str, Any]) -> None:
    """Prints the table."""
    say("\n            packets per queue pair, in 3 seconds       resize")
    say("  pairs     q0      q1      q2      q3        took    XDP off   over the bridge")
    for phase in phases:
        cells = [str(n) for n in phase.per_queue] + ["-"] * (_QUEUES - phase.pairs)
        row = f"  {phase.pairs:5}" + "".join(f"{cell:>8}" for cell in cells)
        if phase.resize:
            took = sum(step["took_ns"] for step in phase.resize["steps"]) / 1e6
            blocked = phase.resize["blocked_ns"] / 1e6
            row += f"   {took:6.0f} ms  {blocked:6.0f} ms   {phase.resize['bridged']:5} packets"
        say(row)
    say("\n                            sent   received   lost   reordered   duplicated")
    rows = [("steady stream, all along", steady)]
    rows += [(f"fresh flows, {p.pairs} pair{'s' if p.pairs > 1 else ' '}", p.fresh) for p in phases]
    for name, t in rows:
        numbers = (t["sent"], t["received"], t["lost"], t["reordered"], t["duplicated"])
        say("  {:<24}{:>6}{:>11}{:>7}{:>12}{:>13}".format(name, *numbers))


def show(build: Path, net: TestNet, function: NetworkFunction) -> None:
    """Sends traffic, resizes, and prints the table."""
    say(f"   steady stream of {_STEADY['rate']} packets/s in {_STEADY['flows']} flows starts")
    steady = Generator(build, net, "--flows", str(_STEADY["flows"]), "--rate", str(_STEADY["rate"]))
    time.sleep(1)
    phases = [run_phase(number, build, net, function) for number in range(len(_PHASES))]
    total = steady.finish()
    print_table(phases, total)
    balance = function.status()["balance"]
    say(
        f"\n  The dataplane's balance: received {balance['received']} + originated {balance['originated']}"
        f" = transmitted {balance['transmitted']} + passed {balance['passed']} + offloaded {balance['offloaded']}"
        f" + dropped {balance['dropped']} + held {balance['held']}"
        + ("" if balance["unaccounted"] == 0 else f", {balance['unaccounted']} UNACCOUNTED")
    )


def main() -> int:
    """Boots the guest and shows it; with --shell stays in it."""
    build = Path(sys.argv[1])
    shell = "--shell" in sys.argv[2:]
    say("\n== 3/4 guest")
    say("   QEMU and a stock Debian kernel (downloaded once, through apt, into a cache)")
    qemu, kernel = fetch_qemu(), fetch_kernel(_SERIES)
    with TestNet(taps=2, queues=_QUEUES) as net:
        nics = [Nic(tap, queues=_QUEUES) for tap in net.taps]
        say(f"   booting kernel {kernel.release} in QEMU {qemu.major_version()}, 4 vCPUs, two 4-pair virtio-net NICs")
        with Guest(_SERIES, files=product_files(build), nics=nics, netns=net.name) as guest:
            how = "hardware virtualisation" if guest.accel == "kvm" else "emulation: slow, but real"
            say(f"   up after {guest.boot_seconds:.0f} s ({guest.accel}, {how})")
            function = NetworkFunction(guest, config("reflect", ports=1))
            function.start()
            say("   XDP attached, agent and dataplane run\n\n== 4/4 packets")
            show(build, net, function)
            if shell:
                say("\nYou are in the guest now. Try: sluicectl status; sluicectl queues set 4; sluicectl doctor")
                say("`exit` or Ctrl-] ends it.\n")
                guest.attach_terminal()
            function.stop()
            guest.assert_healthy()
    say("\nNext: sudo deploy/quickstart --shell, and deploy/README.md for your own guest.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
