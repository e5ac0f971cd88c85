"""DPDK's testpmd as a peer in a guest: virtio PMD, forward mode macswap, one core.

It resizes as DPDK applications do: stop forwarding, stop the port, set the number of queues, start both. The
device is taken from the kernel for good (vfio-pci without an IOMMU, else uio_pci_generic). Between streams
forwarding is stopped, so that its polling core leaves the machine to the other arms.
"""

from __future__ import annotations

from typing import Any

from tests.bench.peers import dpdk
from tests.lib.vm import Vm

MODULES = ("vfio_pci", "uio_pci_generic")
MEMORY_MB = 768
_HUGEPAGES = 96  # of 2 MB: the packet memory of four pairs, and DPDK's own
STEPS = ("stop, port stop, config", "port start, start")

_TAKE = """
set -e
pci=$(basename $(dirname $(readlink -f /sys/class/net/{netdev}/device)))
echo {pages} > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
mkdir -p /dev/hugepages
mount -t hugetlbfs none /dev/hugepages
ip link set {netdev} down
modprobe vfio_pci 2>/dev/null && echo 1 > /sys/module/vfio/parameters/enable_unsafe_noiommu_mode \
    && driver=vfio-pci || {{ modprobe uio_pci_generic; driver=uio_pci_generic; }}
echo $driver > /sys/bus/pci/devices/$pci/driver_override
echo $pci > /sys/bus/pci/devices/$pci/driver/unbind
echo $pci > /sys/bus/pci/drivers_probe
[ "$(basename $(readlink -f /sys/bus/pci/devices/$pci/driver))" = $driver ]
mkfifo /run/testpmd.in
echo $pci $driver
"""
_START = """
exec 3<>/run/testpmd.in
exec dpdk-testpmd -l 0,1 -a {pci} -- -i --forward-mode=macswap --rxq=1 --txq=1 --nb-cores=1 \
    --total-num-mbufs=8192 <&3
"""
# An answer of its own after every batch: `set verbose 0` says a line that nothing else does.
_BATCH = """
now() {{ cut -d' ' -f1 /proc/uptime; }}
answers() {{ grep -c 'Change verbose level' {log}; }}
batch() {{
    want=$(($(answers) + 1))
    printf '%s\\n' "$@" 'set verbose 0' > /run/testpmd.in
    for try in $(seq 1500); do
        [ $(answers) -ge $want ] && return
        kill -0 {pid} || exit 9
        sleep 0.01
    done
    exit 8
}}
"""


class Testpmd:
    """A running testpmd that has device number `nic` of the guest. RuntimeError says why it does not run."""

    __test__ = False

    def __init__(self, vm: Vm, nic: int) -> None:
        self._vm = vm
        self.nic = nic
        self.pairs = 1
        taken = vm.guest.run(_TAKE.format(netdev=f"eth{nic}", pages=_HUGEPAGES))
        if taken.rc != 0:
            raise RuntimeError(f"the device cannot be taken from the kernel: {taken.out.strip()[-300:]}")
        pci, self.driver = taken.out.split()[-2:]
        self._process = vm.guest.spawn(_START.format(pci=pci))
        self._batch()

    def _batch(self, *commands: str, and_then: tuple[str, ...] = ()) -> list[float]:
        """Both batches, one after the other; the times before, between and after."""
        words = _BATCH.format(log=self._process.log, pid=self._process.pid)
        words += f"now; batch {_quoted(commands)}; now;" + (f" batch {_quoted(and_then)}; now" if and_then else "")
        done = self._vm.guest.run(words, timeout=90)
        if done.rc != 0:
            raise RuntimeError(f"testpmd: {self._process.output().strip()[-600:]}")
        return [float(word) for word in done.out.split()]

    def forward(self) -> None:
        self._batch("start")

    def rest(self) -> None:
        self._batch("stop")

    def resize(self, pairs: int) -> dict[str, Any]:
        """While forwarding; times as naive.resize has them."""
        times = self._batch("stop", "port stop all", f"port config all rxq {pairs}", f"port config all txq {pairs}",
                            and_then=("port start all", "start"))
        self.pairs = pairs
        took = [round(1e9 * (after - before)) for before, after in zip(times, times[1:])]
        return {"last_resize": {"blocked_ns": sum(took), "steps": [
            {"step": step, "took_ns": ns} for step, ns in zip(STEPS, took, strict=True)]}}

    def output(self) -> str:
        return self._process.output()

    def quit(self) -> None:
        self._vm.guest.run("echo quit > /run/testpmd.in")
        self._process.wait(30)


def _quoted(commands: tuple[str, ...]) -> str:
    return " ".join(f"'{command}'" for command in commands)


def files() -> list[Any]:
    return dpdk.files()
