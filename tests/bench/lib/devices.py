"""Devices under test that are compared at saturation: Sluice, testpmd, and the kernel alone.

    gen: a0 == wan0 :dut: lan0 == b0 :gen        (the right half for two ports)

Each has its own namespaces and veths and lives through all rounds, but its processes are stopped (SIGSTOP) except while
it is measured: a device that polls would take the core from the others.

The device under test is on one core, the generator on another (CORE, LOAD_CORE). The veth's receive side towards the
device runs either on the generator's core (`apart`, as when an interrupt is on another core than the worker), or in a
thread on the core of the device under test (`together`, as ksoftirqd does at saturation). The receive side of the way
back runs on the core that sends, since veth works so; the sink's time is therefore part of every device's.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from tests.bench.peers.testpmd_veth import Testpmd
from tests.lib import build, liveload
from tests.lib.agent import Agent, config
from tests.lib.command import run, wait_until
from tests.lib.world import World

LOAD_CORE, CORE = 0, 1
APART, TOGETHER = "apart", "together"
_FLOWS = 256


def _napi_threads() -> set[int]:
    """Returns the threads of all devices' threaded NAPIs."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/comm"):
        try:
            if stat.read_text().startswith("napi/"):
                found.add(int(stat.parent.name))
        except FileNotFoundError:
            pass
    return found


class Device:
    """A device that reflects on one port, or forwards from the first of two ports to the second."""

    def __init__(self, world: World, name: str, ports: int = 1, queues: int = 1) -> None:
        self.world, self.name, self.ports, self.queues = world, name, ports, queues
        self.gen, self.dut = world.netns("gen"), world.netns("dut")
        self.netdevs = ["wan0", "lan0"][:ports]
        self.ends = ["a0", "b0"][:ports]
        for end, netdev in zip(self.ends, self.netdevs):
            world.veth(self.gen, end, self.dut, netdev, queues=queues)
        self._placement = APART

    def place(self, placement: str) -> None:
        if placement == self._placement:
            return
        before = _napi_threads()
        threaded = int(placement == TOGETHER)
        run("ip", "netns", "exec", self.dut.name, "sh", "-c",
            f"echo {threaded} >/sys/class/net/{self.netdevs[0]}/threaded")
        for pid in _napi_threads() - before:
            run("taskset", "-pc", CORE, pid)
        self._placement = placement

    def start(self) -> None:
        raise NotImplementedError

    def pids(self) -> list[int]:
        """Returns the processes to stop while others are measured; a process that watches another comes first."""
        return []

    def rest(self) -> None:
        for pid in self.pids():
            os.kill(pid, signal.SIGSTOP)

    def work(self) -> None:
        for pid in reversed(self.pids()):
            os.kill(pid, signal.SIGCONT)

    def measure(self, programs: build.Programs, placement: str, seconds: float, **load: Any) -> dict[str, Any]:
        """Returns liveload's report, with `dropped`: the packets that found the first port's rings full, as they do
        when the device is saturated."""
        self.place(placement)
        self.work()
        try:
            before = self.dropped()
            rx = (self.gen, self.ends[-1]) if self.ports > 1 else None
            report = liveload.run(programs, (self.gen, self.ends[0]), rx, dst_mac=self.dut.mac(self.netdevs[0]),
                                  expect="swapped" if self.ports == 1 else "unchanged",
                                  queues=self.queues, cpu=LOAD_CORE, duration=seconds,
                                  **{"flows": _FLOWS, "warmup": seconds / 3, **load})
            report["dropped"] = self.dropped() - before
        finally:
            self.rest()
        report["pps"] = report["window"]["received"] / report["seconds"]
        return report

    def dropped(self) -> int:
        """Returns the packets dropped on the way in, for want of room in veth's ring or in the socket."""
        return self.dut.counters(self.netdevs[0])["rx"]["dropped"]


class Sluice(Device):
    """The agent and the dataplane of a build."""

    def __init__(self, world: World, name: str, ports: int = 1, queues: int = 1, poll: str = "busy",
                 programs: build.Programs | None = None, **dataplane: str | int) -> None:
        super().__init__(world, name, ports, queues)
        text = config(dict(zip(("wan", "lan"), self.netdevs)), "reflect" if ports == 1 else "forward", queues,
                      dataplane={"workers": 1, "cores": [CORE], "poll": poll, **dataplane})
        self.agent = Agent(world, programs or build.Programs(), self.dut, text, name=f"agent-{self.dut.name}")
        self.offloads = dataplane.get("offload") == "on"
        self._pids: list[int] = []

    def start(self) -> None:
        self.agent.start()
        if self.offloads:
            wait_until(lambda: self.agent.status()["offload"]["on"], "offload to be on")
        self._pids = [self.agent.process.pid, self.agent.dataplane_pid()]

    def pids(self) -> list[int]:
        return self._pids


class Dpdk(Device):
    """testpmd, macswap or io."""

    def __init__(self, world: World, name: str, ports: int = 1, queues: int = 1,
                 busy_budget: int | None = None) -> None:
        super().__init__(world, name, ports, queues)
        self.busy_budget = busy_budget
        self._testpmd: Testpmd | None = None

    def start(self) -> None:
        self._testpmd = Testpmd(self.world, self.dut, self.netdevs, "macswap" if self.ports == 1 else "io", CORE,
                                self.queues, self.busy_budget)

    def pids(self) -> list[int]:
        return [self._testpmd.pid] if self._testpmd else []


class Kernel(Device):
    """XDP_TX or XDP_REDIRECT, without userspace. Frames are handled where they are received, so in `apart` it runs on
    the generator's core, and only `together` is comparable."""

    def start(self) -> None:
        pins = self.world.pin_root / f"kernel-{self.dut.name}"
        pins.mkdir(parents=True)
        run("bpftool", "prog", "loadall", build.Programs().kernel_path, pins, "pinmaps", pins)
        program = pins / ("kernel_reflect" if self.ports == 1 else "kernel_forward")
        indices = [self.dut.ifindex(netdev) for netdev in self.netdevs]
        for netdev, at, to in zip(self.netdevs, indices, reversed(indices)):
            words = [*at.to_bytes(4, "little"), "value", *to.to_bytes(4, "little")]
            self.dut.run("bpftool", "map", "update", "pinned", pins / "other_port", "key", *words)
            self.dut.run("ip", "link", "set", "dev", netdev, "xdpdrv", "pinned", program)
