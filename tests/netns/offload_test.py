"""Decided flows, carried by XDP: every packet still comes back once, in order and rewritten, and is accounted for.

What XDP sends over veth arrives only where the peer has an XDP program (drivers/net/veth.c: veth_xdp_flush), so the
peers have one that passes everything: ours, which no agent has activated.
"""

import pytest

from tests.lib import flowgen
from tests.lib.command import wait_until

WINDOW = 60
CARRIED = {"dataplane": {"offload": "on"}}
SHAPES: dict[str, dict[str, int]] = {
    "ipv4": {},
    "ipv6": {"ipv6": True, "size": 84},
    "vlan": {"vlan": 7},
    "large": {"size": 1514},
    "many-flows": {"flows": 1000},
}


def offloading(device):
    for netns, netdev in device.peers.ends:
        pins = device.world.pin_root / f"peer-{netdev}"
        pins.mkdir(parents=True)
        netns.run("xdp-loader", "load", "-m", "native", "-p", pins, netdev, device.programs.bpf / "sluice_steer.bpf.o")
    device.start()
    wait_on(device)
    return device


def wait_on(device):
    wait_until(lambda: device.agent.status()["offload"]["on"], "offload on")


def send(device, programs, count=20_000, **options):
    options = {"flows": 32, "rate": 0, "window": WINDOW, "count": count, "settle": 0.5, **options}
    return flowgen.run(programs, **device.traffic(), **options)


def check_balance(status, packets):
    balance = status["balance"]
    assert balance["received"] == balance["transmitted"] + balance["offloaded"] == packets
    assert balance["dropped"] == balance["held"] == balance["unaccounted"] == 0


@pytest.mark.parametrize("pairs", [1, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_reflect(reflector, programs, pairs, shape):
    device = offloading(reflector(queue_pairs=pairs, **CARRIED))
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert report["directions"][0]["macs_swapped"] == report["total"]["sent"] == 20_000
    status = device.agent.settled()
    check_balance(status, 20_000)
    # Of each flow the first packets went through the dataplane, with those that were under way meanwhile.
    assert status["balance"]["offloaded"] > 10_000
    device.agent.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_forward(wire, programs, shape):
    device = offloading(wire(queue_pairs=2, **CARRIED))
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert [d["macs_unchanged"] for d in report["directions"]] == [20_000, 20_000]
    status = device.agent.settled()
    check_balance(status, 40_000)
    assert status["balance"]["offloaded"] > 20_000
    device.agent.stop()
