"""DPDK's testpmd on this machine's veths: net_af_xdp in copy mode, one forwarding core.

It runs from the folder in which its packages are unpacked, in the namespace of its devices, with its own hugetlbfs
mount. net_af_xdp refuses more queues than the device has combined channels, and veth reports none. So there is one
virtual device per queue, and queue i of a port forwards to queue i of the other.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Sequence

from tests.bench.peers import dpdk
from tests.lib import huge_pages
from tests.lib.command import wait_until
from tests.lib.world import Netns, World

_DRIVERS = ("librte_bus_vdev", "librte_mempool_ring", "librte_net_af_xdp")
_PAGES_EACH = 96  # of 2 MB: the packet memory of four queues of two ports, and DPDK's own
# For each device: 2,048 in its receive ring, the same number in transit, and some that testpmd holds. When none
# were left, four queues of two ports forwarded nothing at all.
_MBUFS_EACH = 5120
# $1 is a folder to mount at; $2 is a FIFO that keeps the standard input open, since testpmd ends with its input.
_START = """set -e
mkdir -p "$1"
mount -t hugetlbfs none "$1"
mkfifo "$2"
exec 3<>"$2"
shift 2
exec "$@" <&3
"""
_numbers = itertools.count()


def hugepages(processes: int) -> contextlib.AbstractContextManager[int]:
    """Adds the huge pages that `processes` need, while the block lasts."""
    more: contextlib.AbstractContextManager[int] = huge_pages.more(processes * _PAGES_EACH)
    return more


class Testpmd:
    """Forwards from when it is made until quit(). `busy_budget` is net_af_xdp's: None for its default, 0 for no busy
    polling. `mode` is macswap (one port) or io (two ports). Raises RuntimeError with the reason if it does not run."""

    __test__ = False

    def __init__(self, world: World, netns: Netns, netdevs: Sequence[str], mode: str, core: int, queues: int = 1,
                 busy_budget: int | None = None) -> None:
        folder = dpdk.fetch()
        name = f"testpmd-{next(_numbers)}"
        budget = "" if busy_budget is None else f",busy_budget={busy_budget}"
        # testpmd forwards between neighbours, so the order is queue 0 of both ports, queue 1 of both, and so on.
        devices = [f"--vdev=net_af_xdp{number},iface={netdev},start_queue={queue},queue_count=1{budget}"
                   for number, (queue, netdev) in enumerate(itertools.product(range(queues), netdevs))]
        drivers = [word for path in dpdk.drivers_to_load(folder, _DRIVERS) for word in ("-d", path)]
        huge = world.folder / f"{name}-huge"
        self.process = world.start(*netns.enter(
            "unshare", "--mount", "sh", "-c", _START, "sh", huge, world.folder / f"{name}-in",
            "env", f"LD_LIBRARY_PATH={dpdk.library_path(folder)}", "stdbuf", "-oL", folder / dpdk.PROGRAM,
            # The main thread only waits, so it shares the forwarding core.
            "--lcores", f"0@{core},1@{core}", "--no-pci", "--no-telemetry", "--huge-dir", huge, "--file-prefix",
            f"{world.folder.name}-{name}", *drivers, *devices,
            "--", f"--forward-mode={mode}", "--nb-cores=1", f"--total-num-mbufs={_MBUFS_EACH * len(devices)}",
            "--no-lsc-interrupt"))
        wait_until(self._forwards, lambda: f"testpmd: {self.process.output()[-2000:]}")

    def _forwards(self) -> bool:
        if not self.process.running():
            raise RuntimeError(f"testpmd ended: {self.process.output().strip()[-2000:]}")
        return "Press enter to exit" in self.process.output()

    @property
    def pid(self) -> int:
        return self.process.pid

    def quit(self) -> None:
        self.process.stop()
