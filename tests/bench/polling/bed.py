"""A reflector on a veth pair: Sluice with any way of polling, or testpmd.

    gen: a0 == wan0 :dut       generator on core 0, the reflector's worker on core 1

A bed exists for one measurement of one arm only, since a reflector that polls busily uses its core all the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tests.bench.lib import cpu
from tests.bench.peers import testpmd_veth
from tests.lib import build, flowgen
from tests.lib.agent import Agent, config
from tests.lib.world import Netns, World

GENERATOR_CORE, WORKER_CORE = 0, 1
# The stream runs for this time before the measurement begins.
_LEAD_SECONDS = 0.3


class Bed:
    """A context manager. Subclasses start the reflector on wan0 and return its processes."""

    def __init__(self, queues: int = 1) -> None:
        self.queues = queues
        self.programs = build.Programs()
        self.world = World()
        self.gen: Netns
        self.dut: Netns
        self.pids: dict[str, int] = {}

    def __enter__(self) -> Bed:
        self.world.__enter__()
        try:
            self.gen, self.dut = self.world.netns("gen"), self.world.netns("dut")
            self.world.veth(self.gen, "a0", self.dut, "wan0", queues=self.queues)
            self.pids = self.start()
        except BaseException:
            self.world.__exit__()
            raise
        return self

    def __exit__(self, *exception: Any) -> None:
        try:
            self.end()
        finally:
            self.world.__exit__(*exception)

    def start(self) -> dict[str, int]:
        """Starts the reflector; returns its processes once it reflects."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends the reflector in order. The world kills any process that is left."""

    def rest(self, seconds: float) -> dict[str, float]:
        """Returns the per cent of a core that it uses without any traffic."""
        meter = cpu.Meter(self.pids, WORKER_CORE)
        time.sleep(seconds)
        return meter.read()

    def stream(self, rate: float, seconds: float, flows: int = 16) -> dict[str, Any]:
        """Sends evenly paced packets there and back; returns {"cpu": per cent of a core, "flowgen": its report}."""
        with flowgen.Background(self.programs, (self.gen, "a0"), dst_mac=self.dut.mac("wan0"), flows=flows, rate=rate,
                                settle=0.1, core=GENERATOR_CORE) as stream:
            time.sleep(_LEAD_SECONDS)
            meter = cpu.Meter(self.pids, WORKER_CORE)
            time.sleep(seconds)
            used = meter.read()
            return {"cpu": used, "flowgen": stream.stop()}


class Sluice(Bed):
    """The product's own agent and dataplane, with one worker."""

    def __init__(self, poll: str, queues: int = 1) -> None:
        super().__init__(queues)
        self._text = config({"wan": "wan0"}, "reflect", queues,
                            dataplane={"workers": 1, "cores": [WORKER_CORE], "poll": poll})
        self._agent: Agent

    def start(self) -> dict[str, int]:
        self._agent = Agent(self.world, self.programs, self.dut, self._text).start()
        return {"dataplane": self._agent.dataplane_pid(), "agent": self._agent.process.pid}

    def end(self) -> None:
        self._agent.stop()


class Testpmd(Bed):
    """DPDK's testpmd: macswap, net_af_xdp with one queue. It needs testpmd_veth.hugepages(1) around it."""

    __test__ = False

    def __init__(self, busy_budget: int | None) -> None:
        super().__init__()
        self._busy_budget = busy_budget
        self._testpmd: testpmd_veth.Testpmd

    def start(self) -> dict[str, int]:
        self._testpmd = testpmd_veth.Testpmd(self.world, self.dut, ["wan0"], "macswap", WORKER_CORE,
                                             busy_budget=self._busy_budget)
        return {"dataplane": self._testpmd.pid}

    def end(self) -> None:
        self._testpmd.quit()


Arms = dict[str, Callable[[], Bed]]
OURS = ("adaptive", "busy", "interrupt")
