"""The paths that the seed's loads take, each with its queue pairs:

    stack    host: tap0 == eth0 :guest             the guest's own stack, with the servers; ethtool -L, as in the series
    veth     left: a0 == wan0 :dut: lan0 == b0 :right       through Sluice's `forward`; the servers are at the right
    guest    left: tap0 == eth0 :guest: eth1 == tap1 :right     the same in a guest

A bed has one path for all arms, and changes its pairs from arm to arm.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tests.bench.lib import cpu
from tests.bench.seed import servers
from tests.bench.seed.loads import CRR, PACKETS, REQUEST_SIZES, RR, STREAM_IN, STREAM_OUT, STREAM_SESSIONS, Cell, Ends
from tests.bench.seed.loads import cells, throughput
from tests.bench.seed.tables import AGAIN, AUTO, ONE, arm_name
from tests.lib import build, liveload, wire
from tests.lib.agent import Agent, config
from tests.lib.command import wait_until
from tests.lib.vm import Vm, booted
from tests.lib.world import World

_SESSIONS = max(STREAM_SESSIONS)
_GUEST_CPUS = 4
_SERVERS = "/run/servers"
_SMALLEST_FRAME = 64
# Frames of liveload are spread over this number of queues; a device takes one that it lacks modulo its own number.
_MOST_QUEUES = 16
_GENERATOR_CORE = 0
# Nobody has this address, so the host drops pktgen's packets as soon as it has them.
_NOBODY = "02:00:00:00:00:99"
_PKTGEN = """
set -e
modprobe pktgen
cd /proc/net/pktgen
for cpu in $(seq 0 {last_cpu}); do echo rem_device_all > kpktgend_$cpu; done
for pair in $(seq 0 {last_pair}); do
    echo "add_device eth0@$pair" > kpktgend_$pair
    for words in "count 0" "delay 0" "pkt_size {size}" "dst 192.0.2.1" "dst_mac {mac}" \
            "queue_map_min $pair" "queue_map_max $pair"; do
        echo "$words" > eth0@$pair
    done
done
"""


class Bed:
    """A path between `ends`, and the CPU time that it takes."""

    def __init__(self, where: str, ends: Ends, chosen: argparse.Namespace, loads: Sequence[str]) -> None:
        self.where, self.ends, self.chosen, self.loads = where, ends, chosen, loads
        self.note = ""  # for the tables

    def arms(self, load: str) -> list[str]:
        """Returns them in the order of a round: the base first, itself again last."""
        del load  # the same for all, unless a subclass says otherwise
        return [ONE, *map(arm_name, self.chosen.pairs), AUTO, AGAIN]

    def cells(self, load: str) -> list[Cell]:
        return cells(load)

    def take(self, arm: str) -> None:
        """Has the path change to the pairs of an arm."""
        raise NotImplementedError

    def lead(self, cell: Cell, arm: str) -> None:
        """Runs the load before the measurement, so that caches are warm, and `auto` has judged it."""
        self.run(cell, self.chosen.auto_lead if arm == AUTO else self.chosen.lead)

    def run(self, cell: Cell, seconds: int) -> float:
        """Returns the throughput."""
        return throughput(cell, self.ends, seconds)

    def pairs(self) -> int:
        """Returns the number in use."""
        raise NotImplementedError

    def cpu_ns(self) -> int:
        """Returns the CPU time that the path has taken so far."""
        raise NotImplementedError


def _pairs_of(arm: str) -> int:
    return 1 if arm in (ONE, AGAIN, AUTO) else int(arm.split()[0])


class _Veth(Bed):
    """The peers' TX queues follow the pairs, since a device with an XDP program must have at least as many RX queues as
    its peer has TX queues (drivers/net/veth.c: veth_xdp_set). So `auto` judges a load that comes by one queue, and is
    measured with as many as it then has pairs."""

    def __init__(self, world: World, chosen: argparse.Namespace) -> None:
        self._left, self._dut, self._right = world.netns("left"), world.netns("dut"), world.netns("right")
        self._most = max(chosen.pairs)
        for space, end, netdev in ((self._left, "a0", "wan0"), (self._right, "b0", "lan0")):
            world.veth(space, end, self._dut, netdev, queues=self._most)
        self._left.run("ip", "addr", "add", "192.0.2.1/24", "dev", "a0")
        self._right.run("ip", "addr", "add", "192.0.2.2/24", "dev", "b0")
        ends = Ends(lambda words: self._left.enter(*words), "192.0.2.2")
        super().__init__(f"through Sluice on veth, {os.cpu_count()} cores", ends, chosen,
                         (PACKETS, RR, CRR, STREAM_IN))
        self._programs = build.Programs()
        text = config({"wan": "wan0", "lan": "lan0"}, "forward", '"auto"')
        self._agent = Agent(world, self._programs, self._dut, text)
        self._transmit_on(1)
        self._agent.start()
        folder = world.folder / "servers"
        folder.mkdir()
        world.write("servers/nginx.conf", servers.configuration("192.0.2.2", os.cpu_count() or 1, REQUEST_SIZES))
        for words in servers.commands(servers.nginx(), folder, "192.0.2.2", _SESSIONS):
            self._right.start(*words)
        self._right.run("sh", "-c", servers.listen(_SESSIONS))

    def _transmit_on(self, queues: int) -> None:
        for space, end in ((self._left, "a0"), (self._right, "b0")):
            space.run("ethtool", "-L", end, "tx", queues, "rx", self._most)

    def cells(self, load: str) -> list[Cell]:
        if load == PACKETS:
            return [Cell(PACKETS, _SMALLEST_FRAME, flows) for flows in (1, 256)]
        return super().cells(load)

    def take(self, arm: str) -> None:
        pairs = _pairs_of(arm)
        self._transmit_on(min(pairs, self.pairs()))
        self._agent.ctl("queues", "set", pairs)
        self._transmit_on(pairs)
        if arm == AUTO:
            self._agent.ctl("queues", "auto")

    def lead(self, cell: Cell, arm: str) -> None:
        super().lead(cell, arm)
        if arm == AUTO:
            self._transmit_on(self.pairs())

    def run(self, cell: Cell, seconds: int) -> float:
        if cell.load != PACKETS:
            return super().run(cell, seconds)
        report = liveload.run(self._programs, (self._left, "a0"), (self._right, "b0"), dst_mac=self._right.mac("b0"),
                              expect="unchanged", queues=_MOST_QUEUES, cpu=_GENERATOR_CORE, size=cell.size,
                              flows=cell.sessions, duration=seconds)
        # liveload leaves its program there (load/generator.cc), and it would send on all that comes in.
        self._left.run("tc", "qdisc", "del", "dev", "a0", "clsact")
        return report["window"]["received"] / report["seconds"] / 1e3

    def pairs(self) -> int:
        return int(self._agent.port("wan")["queue_pairs"]["current"])

    def cpu_ns(self) -> int:
        assert self._agent.process is not None
        return sum(cpu.process_ns(pid) for pid in (self._agent.process.pid, self._agent.dataplane_pid()))


class _Guest(Bed):
    """The CPU time is that of the guest's virtual CPUs."""

    def __init__(self, vm: Vm, what: str, ends: Ends, chosen: argparse.Namespace, loads: Sequence[str]) -> None:
        emulated = vm.guest.accel != "kvm"
        super().__init__(f"{what}, kernel {vm.guest.release}, {_GUEST_CPUS} {'emulated ' if emulated else ''}vCPUs",
                         ends, chosen, loads)
        self.note = "EMULATED: only ratios within a round mean anything" if emulated else ""
        self.vm = vm

    def cpu_ns(self) -> int:
        qemu = self.vm.guest.qemu_pid()
        return cpu.process_ns(qemu) - cpu.process_ns(qemu, str(qemu))  # the first thread is the device


class _Stack(_Guest):
    def __init__(self, vm: Vm, chosen: argparse.Namespace) -> None:
        ends = Ends(lambda words: vm.net.command(list(words)), "192.0.2.2")
        super().__init__(vm, "the guest's own stack", ends, chosen, (PACKETS, RR, CRR, STREAM_OUT, STREAM_IN))
        vm.net.exec(["ip", "addr", "add", "192.0.2.1/24", "dev", vm.net.taps[0]])
        vm.guest.run("ip addr add 192.0.2.2/24 dev eth0").check()
        vm.guest.put(f"{_SERVERS}/nginx.conf", servers.configuration("192.0.2.2", _GUEST_CPUS, REQUEST_SIZES))
        for words in servers.commands("nginx", _SERVERS, "192.0.2.2", _SESSIONS):
            vm.guest.spawn(" ".join(words))
        vm.guest.run(servers.listen(_SESSIONS)).check()

    def arms(self, load: str) -> list[str]:
        """The kernel has no `auto`. pktgen ran with one to four pairs in the series."""
        more = range(2, _GUEST_CPUS + 1) if load == PACKETS else self.chosen.pairs
        return [ONE, *map(arm_name, more), AGAIN]

    def cells(self, load: str) -> list[Cell]:
        return [Cell(PACKETS, _SMALLEST_FRAME, 1)] if load == PACKETS else super().cells(load)

    def take(self, arm: str) -> None:
        pairs = _pairs_of(arm)
        if self.pairs() != pairs:  # ethtool fails if nothing is to be changed
            self.vm.guest.run(f"ethtool -L eth0 combined {pairs}").check()

    def run(self, cell: Cell, seconds: int) -> float:
        if cell.load != PACKETS:
            return super().run(cell, seconds)
        # The kernel counts a frame's size without its FCS.
        self.vm.guest.run(_PKTGEN.format(last_cpu=_GUEST_CPUS - 1, last_pair=self.pairs() - 1, size=cell.size - 4,
                                         mac=_NOBODY)).check()
        sending = self.vm.guest.spawn("echo start > /proc/net/pktgen/pgctrl")
        wait_until(lambda: self._arrived()[1] > 0, "pktgen's first packet")
        begin, before = self._arrived()
        time.sleep(seconds)
        end, after = self._arrived()
        self.vm.guest.run("echo stop > /proc/net/pktgen/pgctrl").check()
        sending.wait()
        return (after - before) / (end - begin) / 1e3

    def _arrived(self) -> tuple[float, int]:
        """Returns the time and the number of packets that the tap has had."""
        said = self.vm.net.exec(["ip", "-j", "-s", "link", "show", self.vm.net.taps[0]]).stdout
        return time.monotonic(), int(json.loads(said)[0]["stats64"]["rx"]["packets"])

    def pairs(self) -> int:
        said = self.vm.guest.run("ethtool -l eth0").check().out
        return int(said.rsplit("Combined:", 1)[1].split()[0])


class _SluiceGuest(_Guest):
    def __init__(self, joined: Any, chosen: argparse.Namespace) -> None:
        ends = Ends(lambda words: joined.vm.net.command(list(words), netns=joined.left), wire.RIGHT)
        super().__init__(joined.vm, "through Sluice in a guest", ends, chosen, (RR, CRR, STREAM_IN))
        self._function = joined.function

    def take(self, arm: str) -> None:
        self._function.resize(_pairs_of(arm)).check()
        if arm == AUTO:
            self._function.ctl("queues", "auto").check()

    def pairs(self) -> int:
        return int(self._function.status()["ports"][0]["queue_pairs"]["current"])


@contextlib.contextmanager
def veth(chosen: argparse.Namespace) -> Iterator[Bed]:
    with World() as world:
        yield _Veth(world, chosen)


@contextlib.contextmanager
def stack(chosen: argparse.Namespace) -> Iterator[Bed]:
    """The device has its offloads, as in the series."""
    with booted(chosen.kernel, cpus=_GUEST_CPUS, files=servers.guest_files(), modules=("pktgen",), offloads=True,
                thread_per_cpu=True) as vm:
        yield _Stack(vm, chosen)


@contextlib.contextmanager
def guest(chosen: argparse.Namespace) -> Iterator[Bed]:
    with (wire.wire(chosen.kernel, queue_pairs='"auto"', cpus=_GUEST_CPUS, thread_per_cpu=True) as joined,
          World() as world):
        (world.folder / "servers").mkdir()
        world.write("servers/nginx.conf", servers.configuration(wire.RIGHT, os.cpu_count() or 1, REQUEST_SIZES))
        for words in servers.commands(servers.nginx(), world.folder / "servers", wire.RIGHT, _SESSIONS):
            world.start(*joined.vm.net.command(words, netns=joined.right))
        subprocess.run(joined.vm.net.command(["sh", "-c", servers.listen(_SESSIONS)], netns=joined.right), check=True)
        yield _SluiceGuest(joined, chosen)


BEDS = {"stack": stack, "veth": veth, "guest": guest}
