"""Variants of the virtio-net device: each carries traffic and changes its pairs under it. deploy/README.md has the
matrix. Devices without multiqueue or without a control queue are in device_test.py; resize_test.py has the order of
packets while the usual device is resized.
"""

import time
from functools import partial

import pytest

from tests.lib.vm import booted, wait_still
from tests.lib.vhost_switch import vhost_switch

# Numbers of feature bits (linux/virtio_net.h, linux/virtio_config.h).
MRG_RXBUF, ACCESS_PLATFORM, RING_PACKED = 15, 33, 34


def has(vm, feature):
    """Tells whether device and driver have agreed on a feature."""
    return vm.guest.get("/sys/class/net/eth0/device/features")[feature:feature + 1] == b"1"


def rx_ring(vm):
    return vm.guest.run("ethtool -g eth0 | grep ^RX: | tail -1").out.split()[1]


def bus(vm):
    return vm.guest.run("ethtool -i eth0 | grep ^bus-info").out


# Options of the device, whether the guest has the device asked for, and the lever that its pairs are changed by.
VARIANTS = [
    pytest.param({"extra": "packed=on", "iommu_platform": True},
                 lambda vm: has(vm, RING_PACKED) and has(vm, ACCESS_PLATFORM), "channels", id="packed-iommu"),
    pytest.param({"extra": "packed=on", "rss": True}, lambda vm: has(vm, RING_PACKED), "spread", id="packed-rss"),
    pytest.param({"extra": "mrg_rxbuf=off"}, lambda vm: not has(vm, MRG_RXBUF), "channels", id="small-buffers"),
    # All its queues have one interrupt, and its rings have the most entries that QEMU has.
    pytest.param({"mmio": True}, lambda vm: "LNRO0005" in bus(vm) and rx_ring(vm) == "1024", "channels", id="mmio"),
]


def carries(vm):
    """Sends 300 packets; each must come back once, in order and unharmed."""
    with vm.stream("--count", "300", "--window", "32", flows=32, rate=1000) as stream:
        stream.finish(stop=False)
    counts = [stream.total[key] for key in ("sent", "received", "reordered", "duplicated", "corrupted")]
    assert counts == [300, 300, 0, 0, 0], stream.total


def lost_while(vm, change):
    """Returns the number of packets lost around a change; none may come twice or harmed."""
    with vm.stream("--window", "32", flows=32, rate=500) as stream:
        time.sleep(0.5)
        change().check()
        time.sleep(0.5)
    assert stream.total["received"] > 0
    assert (stream.total["duplicated"], stream.total["corrupted"]) == (0, 0), stream.total
    return stream.total["lost"]


@pytest.mark.parametrize("device, is_it, lever", VARIANTS)
def test_resizes_lose_nothing(device, is_it, lever):
    with booted("6.12", **device) as vm:
        assert is_it(vm), f"{device} is not what the guest has"
        before = vm.kernel_state()
        function = vm.start("reflect", queue_pairs=4 if lever == "spread" else 1)
        carries(vm)
        for pairs in (1, 4) if lever == "spread" else (4, 1):
            assert lost_while(vm, partial(function.resize, pairs)) == 0, function.agent.output()
            assert function.status()["last_resize"]["method"] == lever
            carries(vm)
        assert wait_still(function)["balance"]["dropped"] == 0
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before


def test_vhost_user():
    """The host's switch, Open vSwitch with DPDK, chooses a flow's pair by its hash, whatever pair the flow left by. It
    does not wait for a pair: what it has for one that closes, or has no buffers yet, it drops and counts. Nothing else
    is lost."""
    with booted("6.12", switch=vhost_switch, extra="rx_queue_size=1024,tx_queue_size=1024") as vm:
        assert rx_ring(vm) == "1024"
        function = vm.start("reflect")
        carries(vm)
        function.resize(2).check()
        for workers in (1, 2):
            assert lost_while(vm, partial(function.ctl, "workers", "set", str(workers))) == 0, function.agent.output()
            carries(vm)
        for pairs in (1, 4, 2):
            before = vm.switch.dropped()
            lost = lost_while(vm, partial(function.resize, pairs))
            assert lost == vm.switch.dropped() - before, function.agent.output()
            assert function.status()["last_resize"]["method"] == "channels"
            carries(vm)
            queues = function.status()["ports"][0]["queues"]
            assert all(queue["rx_packets"] > 0 for queue in queues), "the switch does not use every pair"
        assert wait_still(function)["balance"]["dropped"] == 0
        assert function.stop().rc == 0, function.agent.output()
