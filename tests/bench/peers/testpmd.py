"""DPDK's testpmd as a peer in a guest: virtio PMD, forward mode macswap, one core.

It resizes as DPDK applications do: stop forwarding, stop the port, set the number of queues, start both. The
device is taken from the kernel and not given back (uio_pci_generic, since these guests have no IOMMU). Between streams
forwarding is stopped, so that its polling core leaves the machine to the other arms.
"""

from __future__ import annotations

import re
import shlex
from typing import Any

from tests.bench.peers import dpdk
from tests.lib.vm import Vm

from testbed import GuestError  # isort: skip

MODULES = ("uio_pci_generic",)
_MEMORY_MB = 768
_HUGEPAGES = 96  # of 2 MB: the packet memory of four pairs, and DPDK's own
STEPS = ("stop, port stop, config", "port start, start")

_TAKE = """
set -e
pci=$(basename $(dirname $(readlink -f /sys/class/net/{netdev}/device)))
echo {pages} > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages
mkdir -p /dev/hugepages /var/run
mount -t hugetlbfs none /dev/hugepages
ip link set {netdev} down
modprobe uio_pci_generic
echo uio_pci_generic > /sys/bus/pci/devices/$pci/driver_override
echo $pci > /sys/bus/pci/devices/$pci/driver/unbind
echo $pci > /sys/bus/pci/drivers_probe
[ "$(basename $(readlink -f /sys/bus/pci/devices/$pci/driver))" = uio_pci_generic ]
mkfifo /run/testpmd.in
echo $pci
"""
_START = f"""
exec 3<>/run/testpmd.in
export LD_PRELOAD={dpdk.BUFFER_LIBRARY} {dpdk.BUFFER_LINES}
exec dpdk-testpmd -l 0,1 -a {{pci}} -- -i --forward-mode=macswap --rxq=1 --txq=1 --nb-cores=1 \
    --total-num-mbufs=8192 <&3
"""
# A command is done when the next prompt appears.
_BATCH = """
now() {{ cut -d' ' -f1 /proc/uptime; }}
prompts() {{ grep -o 'testpmd> ' {log} | wc -l; }}
await() {{
    for try in $(seq 500); do
        [ $(prompts) -ge $1 ] && return
        kill -0 {pid} || exit 9
        sleep 0.02
    done
    exit 8
}}
batch() {{
    want=$(($(prompts) + $#))
    printf '%s\n' "$@" > /run/testpmd.in
    await $want
}}
await 1
"""


class Testpmd:
    """A running testpmd on device number `nic` of the guest. Raises RuntimeError with the reason if it does not run."""

    __test__ = False

    def __init__(self, vm: Vm, nic: int) -> None:
        self._vm = vm
        self.nic = nic
        taken = vm.guest.run(_TAKE.format(netdev=f"eth{nic}", pages=_HUGEPAGES))
        if taken.rc != 0:
            raise RuntimeError(f"the device cannot be taken from the kernel: {taken.out.strip()[-300:]}")
        pci = taken.out.split()[-1]
        self._process = vm.guest.spawn(_START.format(pci=pci))
        self._batch()  # returns with its first prompt

    def _batch(self, *batches: tuple[str, ...]) -> list[float]:
        """Runs batches of commands in turn; returns the times (s) before, between and after them."""
        words = _BATCH.format(log=self._process.log, pid=self._process.pid) + "now\n"
        words += "".join(f"batch {shlex.join(batch)}\nnow\n" for batch in batches)
        try:
            done = self._vm.guest.run(words, timeout=60).check()
        except GuestError:
            raise RuntimeError(f"testpmd: {self.output().strip()[-600:]}") from None
        return [float(word) for word in done.out.split()]

    def forward(self) -> None:
        self._batch(("start",))

    def rest(self) -> None:
        self._batch(("stop",))

    def resize(self, pairs: int) -> dict[str, Any]:
        """Resizes while it forwards; returns times in the form of naive.resize."""
        times = self._batch(
            ("stop", "port stop all", f"port config all rxq {pairs}", f"port config all txq {pairs}"),
            ("port start all", "start"))
        took = [round(1e9 * (after - before)) for before, after in zip(times, times[1:])]
        return {"last_resize": {"blocked_ns": sum(took), "steps": [
            {"step": step, "took_ns": ns} for step, ns in zip(STEPS, took, strict=True)]}}

    def received(self) -> list[int]:
        """Returns the packets of each queue so far."""
        self._batch(("show port xstats 0",))
        shown = self.output().rsplit("NIC extended statistics for port 0", 1)[-1]
        return [int(count) for count in re.findall(r"^rx_q\d+_good_packets: (\d+)", shown, re.MULTILINE)]

    def output(self) -> str:
        return self._process.output()

    def quit(self) -> None:
        self._vm.guest.run("echo quit > /run/testpmd.in")
        self._process.wait(30)


def for_guest() -> tuple[dict[str, Any], str]:
    """Returns the arguments of booted() for a guest with testpmd, or none and the reason."""
    try:
        return {"files": dpdk.files(), "modules": MODULES, "memory_mb": _MEMORY_MB}, ""
    except (OSError, RuntimeError) as error:
        return {}, f"cannot be fetched: {' '.join(str(error).split())[-300:]}"


def started(vm: Vm, nic: int) -> tuple[Testpmd | None, str]:
    """Returns testpmd on device number `nic`, or None and the reason."""
    try:
        return Testpmd(vm, nic), ""
    except RuntimeError as error:
        return None, " ".join(str(error).split())
