"""A VLAN tag that the sender leaves to its device (tx-vlan-offload, which veth has on by default): `forward` keeps it,
rules see it, and doctor says what becomes of it; in native mode and in skb mode."""

import socket
import struct

import pytest

from tests.lib import protojson
from tests.lib.command import run, wait_until
from tests.lib.world import in_netns

SOL_PACKET, PACKET_AUXDATA, TP_STATUS_VLAN_VALID = 263, 8, 1 << 4
ETH_P_ALL = 3  # the kernel takes the tag off before a socket for one protocol gets the frame
# bpf_skb_vlan_push (helper 18) leaves the tag in the metadata.
PUSH = """
static long (*push)(void*, unsigned short, unsigned short) = (void*)18;
__attribute__((section("tc"), used)) int push_tag(void* skb) {
  push(skb, 0x0081, 100);
  return 0;
}
__attribute__((section("license"), used)) char _license[] = "GPL";
"""
FRAME = b"\x02" * 6 + b"\x04" * 6 + b"\x88\xb5" + b"\xa5" * 46


def tag_everything(world, netns, netdev):
    source = world.write("push.c", PUSH)
    run("clang", "-target", "bpf", "-O2", "-c", source, "-o", f"{source}.o")
    netns.run("tc", "qdisc", "add", "dev", netdev, "clsact")
    netns.run("tc", "filter", "add", "dev", netdev, "egress", "bpf", "da", "obj", f"{source}.o", "sec", "tc")


def packet_socket(netns, netdev):
    sock = in_netns(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
    sock.bind((netdev, ETH_P_ALL))
    sock.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    sock.settimeout(60)
    return sock


def tag_of(sock):
    """Returns the VLAN id of the next frame of this test; None: it has no tag."""
    frame = b""
    while frame[12:14] != FRAME[12:14]:
        frame, messages, _, _ = sock.recvmsg(2048, 256)
    status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", messages[0][2])
    return tci & 0xFFF if status & TP_STATUS_VLAN_VALID else None


@pytest.mark.parametrize("mode, says", [("auto", "are seen"), ("skb", "by the bridge")])
def test_a_tag_left_to_the_device_is_seen_and_kept(wire, world, mode, says):
    device = wire(dataplane={"mode": mode}).start()
    device.left.run("ethtool", "-K", "a0", "txvlan", "on")
    sender, receiver = packet_socket(device.left, "a0"), packet_socket(device.right, "b0")
    sender.send(FRAME)
    assert tag_of(receiver) is None
    tag_everything(world, device.left, "a0")
    sender.send(FRAME)
    assert tag_of(receiver) == 100

    device.agent.ctl("rules", "add", "drop", "vlan=100")
    sender.send(FRAME)
    wait_until(lambda: device.agent.port("wan")["queues"][0]["xdp_packets"].get("drop") == 1, "the rule to drop it")
    device.left.run("tc", "qdisc", "del", "dev", "a0", "clsact")
    sender.send(FRAME)
    assert tag_of(receiver) is None, "what comes next is the frame without a tag"
    findings = protojson.loads(device.agent.ctl("doctor", "-o", "json", check=False).stdout)["findings"]
    finding = next(one for one in findings if (one["port"], one["check"]) == ("wan", "vlan_tags"))
    assert says in finding["what"] + finding["cost"]
    for sock in (sender, receiver):
        sock.close()
