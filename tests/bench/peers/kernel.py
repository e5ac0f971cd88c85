"""The kernel of a guest as a peer, on the guest's first device: forwarding as a router with one arm, and XDP_TX alone
(load/kernel_path.bpf.c). Both send every packet back to the tap's end. Each is a context manager that yields a function
that returns the packets of each pair so far.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator

from tests.lib import build
from tests.lib.command import run
from tests.lib.vm import GuestFile, Vm

_OBJECT = "/root/kernel_path.bpf.o"
_PINS = "/sys/fs/bpf/kernel_path"
Received = Callable[[], list[int]]

# Places pair i on CPU i, as Sluice does. Both ways send by the pair of the CPU that they run on (XPS;
# virtnet_xdp_get_sq), and the tap then brings the flow to that pair: with interrupts on other CPUs some pairs would get
# nothing. The placement holds until the number of pairs changes. ethtool fails if that number is set already.
_PAIRS = """
set -e
ethtool -L eth0 combined {pairs} 2>/dev/null || true
ethtool -l eth0 | tail -4 | grep -q "Combined:[^0-9]*{pairs}$"
device=$(basename $(readlink -f /sys/class/net/eth0/device))
for pair in $(seq 0 $(({pairs} - 1))); do
    irq=$(sed -n "s/^ *\\([0-9]*\\):.* $device-input\\.$pair$/\\1/p" /proc/interrupts)
    echo $pair > /proc/irq/$irq/smp_affinity_list
    printf %x $((1 << pair)) > /sys/class/net/eth0/queues/tx-$pair/xps_cpus
done
"""
# 192.0.2.1 is the tap's end, so every packet goes back to its sender.
_FORWARD = f"""{_PAIRS}
echo 1 > /proc/sys/net/ipv4/ip_forward
for name in all eth0; do
    echo 0 > /proc/sys/net/ipv4/conf/$name/rp_filter
    echo 0 > /proc/sys/net/ipv4/conf/$name/send_redirects
done
ip addr add 192.0.2.2/24 dev eth0
ip neigh replace 192.0.2.1 lladdr {{mac}} dev eth0
ip route replace 198.19.0.0/16 via 192.0.2.1 dev eth0
"""
_FORWARD_NO_MORE = """
echo 0 > /proc/sys/net/ipv4/ip_forward
ip addr del 192.0.2.2/24 dev eth0
"""
_XDP_TX = f"""{_PAIRS}
[ -d {_PINS} ] || bpftool prog loadall {_OBJECT} {_PINS} pinmaps {_PINS}
ip link set dev eth0 xdpdrv pinned {_PINS}/kernel_reflect
"""
_XDP_TX_NO_MORE = "ip link set dev eth0 xdp off"


def files() -> list[GuestFile]:
    return [GuestFile(_OBJECT, build.Programs().kernel_path, 0o644)]


@contextlib.contextmanager
def forwarding(vm: Vm, pairs: int) -> Iterator[Received]:
    def received() -> list[int]:
        """Returns the packets of each CPU, which is its pair's: ethtool has no counters by queue from 6.12 on."""
        lines = vm.guest.get("/proc/net/softnet_stat").decode().splitlines()
        return [int(line.split()[0], 16) for line in lines][:pairs]

    mac = run("ip", "-n", vm.net.name, "-br", "link", "show", "dev", vm.net.taps[0]).stdout.split()[2]
    vm.guest.run(_FORWARD.format(pairs=pairs, mac=mac)).check()
    try:
        yield received
    finally:
        vm.guest.run(_FORWARD_NO_MORE).check()


@contextlib.contextmanager
def xdp_tx(vm: Vm, pairs: int) -> Iterator[Received]:
    def received() -> list[int]:
        said = vm.guest.run("ethtool -S eth0").check().out
        return [int(count) for count in re.findall(r"\brx\d+_xdp_tx: (\d+)", said)]

    vm.guest.run(_XDP_TX.format(pairs=pairs)).check()
    try:
        yield received
    finally:
        vm.guest.run(_XDP_TX_NO_MORE).check()
