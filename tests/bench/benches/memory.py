"""What memory lanes take: as stated from the layout, and as measured in the processes and the kernel.

An agent and a dataplane on a veth pair with 1, 2, 4, 8 and 16 queues, function reflect, idle; one after the other,
every round. What a lane takes is the difference of 16 and one, by 15: what there is once falls out. A bridge lane, with
its own veth pair, is there in each and falls out as well.

Columns overlap where one thing is seen from two sides: rings are what the dataplane maps of vmalloc; BPF maps are
percpu and vmalloc; 'machine' is all there is, with the page cache left out, and with what else happened on the machine
meanwhile. The test bed's own veth queues are made before, and are in none.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from tests.bench.lib import figures, memory
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build
from tests.lib.agent import Agent, config
from tests.lib.command import wait_until
from tests.lib.world import World

_LANES = (1, 2, 4, 8, 16)
_KIB = 1024
_PAGE = 4096
# Closed sockets' memory goes back from a workqueue.
_SETTLE_SECONDS = 1.0
_COLUMNS = ("lanes' memfds", "rings", "dataplane private", "agent private", "BPF maps", "slab", "vmalloc", "percpu",
            "page tables", "machine")

# The layout of a lane of one port; each line says where it is decided.
_RING_ENTRIES = 2048  # control/kernel/lane_sockets.h: XskRingSizes
_FRAMES = 2 * _RING_ENTRIES  # LaneSet::Layout: every fill and transmit ring full at once
_FRAME_BYTES = 2048  # at an MTU of 1500
_DESCRIPTOR_BYTES, _ADDRESS_BYTES = 16, 8  # linux/if_xdp.h: xdp_desc of receive and transmit, addresses of the others
_RING_HEADER_BYTES = 320  # net/xdp/xsk_queue.h: struct xdp_ring, each index on its own cache lines
_LANE_BYTES = 15424 + 288  # sizeof(Lane) and sizeof(QueuePair)
_POOL_BYTES = 4 * _FRAMES  # dataplane/io/umem.h: pool_
_MOVED_FLOWS_BYTES = 1024 * 16 + 512 * 40  # dataplane/lane/reorder_hold.h: slots_, ring_
_PROBED_FLOWS_BYTES = 1024 * 8  # dataplane/lane/steering_probe.h: slots_
_HANDOFF_RING_BYTES = 12480  # dataplane/lane/handoff.h, from the bridge lane


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def stated() -> dict[str, int]:
    """Bytes of one lane of one port, as the layout has it."""
    entries = (_DESCRIPTOR_BYTES, _DESCRIPTOR_BYTES, _ADDRESS_BYTES, _ADDRESS_BYTES)
    rings = [_pages(_RING_HEADER_BYTES + _RING_ENTRIES * each) for each in entries]
    private = _LANE_BYTES + _POOL_BYTES + _MOVED_FLOWS_BYTES + _PROBED_FLOWS_BYTES + _HANDOFF_RING_BYTES
    return {"lanes' memfds": _pages(_FRAMES * _FRAME_BYTES + _FRAMES), "rings": sum(rings),
            "dataplane private": private}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5, help="of every number of lanes (5)")


def _snapshot(pids: list[int]) -> dict[str, int]:
    dataplane, agent = (memory.mappings(pid) for pid in pids)
    kernel = memory.kernel()
    return {
        "lanes' memfds": dataplane["lanes"]["Size"],
        "rings": dataplane["rings"]["Size"],
        "dataplane private": dataplane["private"]["Pss"],
        "agent private": agent["private"]["Pss"],
        "BPF maps": memory.bpf_maps(pids),
        "dataplane files": dataplane["files"]["Pss"],
        "agent files": agent["files"]["Pss"],
        "stats": dataplane["stats"]["Size"],
        **{name: kernel[name] for name in ("slab", "vmalloc", "percpu", "page tables", "huge pages")},
        "machine": kernel["used"],
    }


def _sample(lanes: int) -> dict[str, int]:
    """What an agent with so many lanes and its dataplane take."""
    with World() as world:
        far, dut = world.netns("far"), world.netns("dut")
        world.veth(far, "a0", dut, "wan0", queues=lanes)
        before = memory.kernel()
        agent = Agent(world, build.Programs(), dut, config({"wan": "wan0"}, "reflect", lanes)).start()
        assert agent.process is not None
        pids = [agent.dataplane_pid(), agent.process.pid]
        wait_until(lambda: all("private" in memory.mappings(pid) for pid in pids), "memory to look at")
        time.sleep(_SETTLE_SECONDS)
        taken = _snapshot(pids)
        for name in ("slab", "vmalloc", "percpu", "page tables", "huge pages"):
            taken[name] -= before[name]
        taken["machine"] -= before["used"]
        agent.stop()
    time.sleep(_SETTLE_SECONDS)
    return taken


def _kib(value: float | None) -> float | None:
    return None if value is None else round(value / _KIB, 1)


def measure(chosen: argparse.Namespace, report: Report) -> None:
    samples: dict[int, list[dict[str, int]]] = {lanes: [] for lanes in _LANES}
    for number in range(1, chosen.rounds + 1):
        for lanes, made in samples.items():
            made.append(_sample(lanes))
        said = ", ".join(f"{lanes}: {made[-1]['machine'] / _KIB:,.0f} KiB" for lanes, made in samples.items())
        report.say(f"round {number}: {said}")
    table = Table("Memory: reflect on one port, KiB", ("lanes", *_COLUMNS))
    for lanes, made in samples.items():
        table.add(str(lanes), *(_kib(figures.median(one[name] for one in made)) for name in _COLUMNS))
    each = {name: figures.quartiles((many[name] - one[name]) / (_LANES[-1] - _LANES[0])
                                    for one, many in zip(samples[_LANES[0]], samples[_LANES[-1]], strict=True))
            for name in _COLUMNS}
    for words, at in (("a lane, q1", 0), ("a lane, median", 1), ("a lane, q3", 2)):
        table.add(words, *(None if quartiles is None else _kib(quartiles[at]) for quartiles in each.values()))
    layout: dict[str, Any] = stated()
    table.add("a lane, stated", *(_kib(layout.get(name)) for name in _COLUMNS))
    last = samples[_LANES[0]][-1]
    table.notes += [
        f"once: counters in shared memory {_kib(last['stats'])} KiB; program and libraries, each process's share:"
        f" dataplane {_kib(last['dataplane files'])}, agent {_kib(last['agent files'])} KiB",
        "not in it: hand-off rings of resizes, 12.2 KiB for each two lanes that flows ever moved between"
        " (dataplane/process/handoff_fabric.h)",
        "huge pages: " + ("in use, so memfds are rounded up to 2 MiB" if last["huge pages"] else "none were free"),
    ]
    report.table(table)
    report.keep("samples", {str(lanes): made for lanes, made in samples.items()})
