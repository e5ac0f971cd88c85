"""liveload on a wire that the test controls packet by packet: its frames are right, and it counts those that return."""

import collections
import socket
import struct

import dpkt
import pytest

from tests.lib import liveload
from tests.lib.command import run
from tests.lib.relay import Relay, swap_macs

FLOWS = 6
RATE = 1200
UDP_PORT = 9


@pytest.fixture
def wire(world):
    """gen:a0 -- a1:mid. A veth without an XDP program takes XDP frames only with GRO on."""
    gen, mid = world.netns("gen"), world.netns("mid")
    world.veth(gen, "a0", mid, "a1", queues=2)
    mid.run("ethtool", "-K", "a1", "gro", "on")
    return gen, mid


def is_load(frame):
    return frame[12:14] == b"\x08\0" and frame[23] == socket.IPPROTO_UDP and frame[36:38] == struct.pack("!H", UDP_PORT)


def send(programs, wire, edit, **options):
    gen, mid = wire
    options = {"flows": FLOWS, "rate": RATE, "duration": 1, "settle": 0.5, **options}
    with Relay(mid, "a1", "a1", edit, wanted=is_load):
        return liveload.run(programs, (gen, "a0"), dst_mac=mid.mac("a1"), **options)


def reflect(number, frame):
    return [swap_macs(frame)]


def test_what_comes_back_is_counted(programs, wire):
    report = send(programs, wire, reflect, size=100)
    total, window = report["total"], report["window"]
    assert total["received"] == total["sent"]
    assert total["received_bytes"] == 100 * total["sent"]
    assert total["wrong"] == total["foreign"] == 0
    assert 0.5 * RATE < window["sent"] / report["seconds"] < 1.1 * RATE
    assert 0 < window["received"] <= total["received"]


def test_losses_and_wrong_frames_are_not_received(programs, wire):
    """Of every four frames one is lost, one comes back unchanged, one as no UDP."""
    def edit(number, frame):
        match number % 4:
            case 0:
                return []
            case 1:
                return [frame]
            case 2:
                return [swap_macs(frame)[:23] + b"\x06" + frame[24:]]
        return [swap_macs(frame)]

    total = send(programs, wire, edit)["total"]
    for at, what in enumerate(("wrong", "foreign", "received"), 1):
        assert total[what] == (total["sent"] + 3 - at) // 4


def test_frames_are_valid_and_whole_though_recycled(programs, wire):
    """The kernel reuses a frame's memory, so every frame must be written in full, whatever a device did to the last."""
    seen = []

    def edit(number, frame):
        seen.append(frame)
        return []

    report = send(programs, wire, edit, imix=True)
    assert len(seen) == report["total"]["sent"]
    sizes = collections.Counter(len(frame) for frame in seen)
    assert [sizes[size] // (len(seen) // 12) for size in (64, 590, 1514)] == [7, 4, 1]
    flows = collections.Counter()
    for frame in seen:
        ip = dpkt.ethernet.Ethernet(frame).data
        assert dpkt.in_cksum(bytes(ip)[:20]) == 0
        assert ip.len == len(frame) - 14 and ip.data.ulen == ip.len - 20
        pseudo = ip.src + ip.dst + struct.pack("!HH", socket.IPPROTO_UDP, ip.data.ulen)
        assert dpkt.in_cksum(pseudo + bytes(ip.data)) == 0
        assert ip.ttl == 64
        flows[ip.src, ip.data.sport] += 1
    assert len(flows) == FLOWS
    assert max(flows.values()) - min(flows.values()) <= 1


@pytest.mark.parametrize("queues", [1, 2])
def test_flows_feed_the_queues_asked_for(programs, wire, queues):
    """Each queue gets the same number, by the driver's own counters."""
    gen, mid = wire
    report = liveload.run(programs, (gen, "a0"), dst_mac=mid.mac("a1"), flows=4, queues=queues, rate=RATE, cpu=0,
                          duration=0.5, settle=0.2)
    lines = mid.run("ethtool", "-S", "a1").stdout.splitlines()
    packets = [int(line.split(":")[1]) for line in lines if "xdp_packets" in line and "rx_queue" in line]
    assert sum(packets) == report["total"]["sent"]
    assert sum(count > 0 for count in packets) == queues
    assert max(packets) - min(count for count in packets if count) <= 1


def test_full_speed_is_not_paced(programs, wire):
    gen, mid = wire
    report = liveload.run(programs, (gen, "a0"), dst_mac=mid.mac("a1"), duration=0.3)
    assert report["window"]["sent"] / report["seconds"] > 100 * RATE
    assert run("ip", "netns", "exec", gen.name, "ip", "link", "show", "a0").stdout.count("xdp") == 0, "the sink is gone"
