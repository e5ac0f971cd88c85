"""Packets that the parser cannot read: kept from a host behind `forward` where a rule or the blocklist asks for what
cannot be read, and let through where none does. Linux itself is the judge: a UDP socket gets them or not."""

import ipaddress
import socket
import struct

import pytest

from tests.lib.command import wait_until
from tests.lib.world import in_netns

FORBIDDEN, ALLOWED = 7777, 7778
BLOCKED = "203.0.113.9"


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def udp(source, destination, port, text):
    """Returns a UDP header and its payload. Over IPv4 without a checksum."""
    datagram = struct.pack("!HHHH", 4000, port, 8 + len(text), 0) + text
    if ":" in source:
        pseudo = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
        total = checksum(pseudo + struct.pack("!II", len(datagram), 17) + datagram) or 0xFFFF
        datagram = datagram[:6] + struct.pack("!H", total) + datagram[8:]
    return datagram


def ipv4(source, payload, fragment=0, destination="192.0.2.2"):
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 7, fragment, 64, 17, 0)
    head += socket.inet_aton(source) + socket.inet_aton(destination)
    return b"\x08\x00" + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(payload, following, source="2001:db8::1", destination="2001:db8::2"):
    addresses = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + addresses + payload


def options6(count, payload):
    """Returns destination options headers of padding, then UDP."""
    headers = [bytes([60 if i + 1 < count else 17, 0, 1, 4, 0, 0, 0, 0]) for i in range(count)]
    return ipv6(b"".join(headers) + payload, 60)


def priority_tags(count, tag=0x8100):
    return struct.pack("!HH", tag, 0) * count


def unreadable_frames(port, source="192.0.2.1"):
    four = ipv4(source, udp(source, "192.0.2.2", port, b"x"))
    six = udp("2001:db8::1", "2001:db8::2", port, b"x")
    return [priority_tags(4) + four, priority_tags(8) + four, priority_tags(5, 0x88a8) + four,
            priority_tags(4) + ipv6(six, 17), options6(9, six), options6(12, six)]


class Host:
    """The host behind the wire, which listens on both ports, and the sender in front of it."""

    def __init__(self, device):
        self.device = device
        macs = device.right.mac("b0") + device.left.mac("a0")
        self.macs = bytes.fromhex(macs.replace(":", ""))
        self.sender = in_netns(device.left, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
        self.sender.bind(("a0", 0))
        self.sockets = {port: in_netns(device.right, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
                        for port in (FORBIDDEN, ALLOWED)}
        for port, sock in self.sockets.items():
            sock.bind(("::", port))

    def close(self):
        for sock in (self.sender, *self.sockets.values()):
            sock.close()

    def send(self, *frames):
        for frame in frames:
            self.sender.send((self.macs + frame).ljust(60, b"\0"))

    def received(self, port):
        """Returns the number of datagrams that came to the port before a last one to the other."""
        self.send(ipv4("192.0.2.1", udp("192.0.2.1", "192.0.2.2", ALLOWED, b"last")))
        texts = []
        self.sockets[ALLOWED].settimeout(60)
        while b"last" not in texts:
            texts.append(self.sockets[ALLOWED].recv(2048))
        if port == ALLOWED:
            return len(texts) - 1
        count = 0
        self.sockets[port].setblocking(False)
        while True:
            try:
                self.sockets[port].recv(2048)
                count += 1
            except BlockingIOError:
                return count

    def counted(self, verdict):
        return sum(int(queue["xdp_packets"].get(verdict, 0))
                   for port in self.device.agent.status()["ports"] for queue in port["queues"])


@pytest.fixture(params=["auto", "skb"])
def host(wire, request):
    device = wire(dataplane={"mode": request.param})
    device.give_addresses()
    device.right.run("sysctl", "-qw", "net.ipv4.conf.b0.rp_filter=0", "net.ipv4.conf.all.rp_filter=0")
    device.start()
    one = Host(device)
    yield one
    one.close()


def test_without_rules_it_goes_through(host):
    host.send(*unreadable_frames(FORBIDDEN))
    assert host.received(FORBIDDEN) == 6
    assert host.counted("unreadable") == 0


def test_a_rule_that_asks_for_a_port_keeps_it_out(host):
    host.device.agent.ctl("rules", "add", "drop", "proto=udp", f"dst_port={FORBIDDEN}")
    host.send(*unreadable_frames(FORBIDDEN), *unreadable_frames(ALLOWED))
    assert host.received(FORBIDDEN) == 0
    assert host.received(ALLOWED) == 0
    wait_until(lambda: host.counted("unreadable") == 12, "12 packets counted")
    assert host.device.agent.settled()["balance"]["unaccounted"] == 0
    assert "unreadable" in host.device.agent.ctl("stats").stdout


def test_an_earlier_rule_for_what_can_be_read_decides(host):
    host.device.agent.ctl("rules", "add", "dataplane", "src=2001:db8::1")
    host.device.agent.ctl("rules", "add", "drop", "proto=udp", f"dst_port={FORBIDDEN}")
    host.send(*unreadable_frames(FORBIDDEN))
    assert host.received(FORBIDDEN) == 2, "the packets with options, whose source can be read"
    assert host.counted("unreadable") == 4


def test_a_blocklist_keeps_out_sources_that_cannot_be_read(host):
    host.device.agent.ctl("blocklist", "add", f"{BLOCKED}/32")
    host.send(*unreadable_frames(ALLOWED, BLOCKED)[:3])
    host.send(ipv4(BLOCKED, udp(BLOCKED, "192.0.2.2", ALLOWED, b"x")))
    assert host.received(ALLOWED) == 0
    assert (host.counted("unreadable"), host.counted("blocked")) == (3, 1)
    host.device.agent.ctl("blocklist", "del", f"{BLOCKED}/32")
    host.send(*unreadable_frames(ALLOWED, BLOCKED)[:3])
    assert host.received(ALLOWED) == 3, "the list is empty, so it asks for nothing"


def fragments(port):
    datagram = udp("192.0.2.1", "192.0.2.2", port, b"x" * 40)
    return ipv4("192.0.2.1", datagram[:16], 0x2000), ipv4("192.0.2.1", datagram[16:], 2)


def test_later_fragments_do_not_pass_a_rule_that_drops_a_port(host):
    host.send(*fragments(ALLOWED))
    assert host.received(ALLOWED) == 1
    host.device.agent.ctl("rules", "add", "drop", "proto=udp", f"dst_port={FORBIDDEN}")
    host.send(*fragments(ALLOWED))
    assert host.received(ALLOWED) == 0
    assert host.counted("fragment") == 1
    first = host.device.agent.ask("rules")["rules"][0]["id"]
    host.device.agent.ctl("rules", "add", "dataplane", "proto=udp", "fragment=later", "--before", first)
    assert host.device.agent.ask("rules")["rules"][0]["fields"] == {"action": "dataplane", "proto": "udp",
                                                                  "fragment": "later"}
    # The first fragment of the last datagram waits in the host: another id would be another datagram.
    host.send(fragments(ALLOWED)[1])
    assert host.received(ALLOWED) == 1
    host.send(*fragments(FORBIDDEN))
    assert host.received(FORBIDDEN) == 0
