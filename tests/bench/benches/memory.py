"""Memory of a lane: as stated by its layout, and as measured in the processes and the kernel.

Starts an agent and a dataplane on a veth pair with 1, 2, 4, 8 and 16 queues, function reflect, without traffic; one
after the other, every round. A lane's memory is the difference between 16 lanes and one, divided by 15, so memory that
exists once is not in it. Each has one bridge lane, with its own veth pair, which is therefore not in it either.

Columns overlap: rings are the part of vmalloc that the dataplane maps; BPF maps are in percpu and vmalloc; 'machine' is
all used memory but the page cache, and includes whatever else the machine did meanwhile. The veth queues of the test
bed are made before, and are in no column.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from tests.bench.lib import figures, memory
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build, command
from tests.lib.agent import Agent, config
from tests.lib.command import wait_until
from tests.lib.world import World

_LANES = (1, 2, 4, 8, 16)
_KIB = 1024
_PAGE = 4096
# The kernel frees the memory of closed sockets in a workqueue, some time later.
_SETTLE_SECONDS = 1.0
_COLUMNS = ("lanes' memfds", "rings", "dataplane private", "agent private", "BPF maps", "slab", "vmalloc", "percpu",
            "page tables", "machine")

_RING_HEADER_BYTES = 320  # net/xdp/xsk_queue.h: struct xdp_ring, each index on its own cache lines


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE


def stated() -> dict[str, int]:
    """Returns the bytes of one lane of one port, from the product's types (tests/bench/lane_size)."""
    layout = json.loads(command.run(build.Programs().lane_size).stdout)
    rings = [_pages(_RING_HEADER_BYTES + entries) for entries in layout["ring_entries_bytes"]]
    # The bridge lane has a hand-off ring to every other lane.
    private = layout["private_bytes"] + layout["handoff_ring_bytes"]
    return {"lanes' memfds": layout["memfd_bytes"], "rings": sum(rings), "dataplane private": private}


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
    """Returns the bytes that an agent with `lanes` lanes and its dataplane take."""
    with World() as world:
        far, dut = world.netns("far"), world.netns("dut")
        world.veth(far, "a0", dut, "wan0", queues=lanes)
        before = memory.kernel()
        agent = Agent(world, build.Programs(), dut, config({"wan": "wan0"}, "reflect", lanes)).start()
        assert agent.process is not None
        pids = [agent.dataplane_pid(), agent.process.pid]
        wait_until(lambda: all("private" in memory.mappings(pid) for pid in pids), "private memory in both processes")
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
        f"memory that exists once: counters in shared memory {_kib(last['stats'])} KiB; program and libraries, each"
        f" process's share: dataplane {_kib(last['dataplane files'])}, agent {_kib(last['agent files'])} KiB",
        "not included: hand-off rings of resizes, 12.2 KiB for each two lanes between which flows ever moved"
        " (dataplane/process/handoff_fabric.h)",
        "huge pages: " + ("in use, so memfds are rounded up to 2 MiB" if last["huge pages"] else "none were free"),
    ]
    report.table(table)
    report.keep("samples", {str(lanes): made for lanes, made in samples.items()})
