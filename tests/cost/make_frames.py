#!/usr/bin/python3 -B
"""Makes frames.pcap, the frames that packet_cost receives: `tests/cost/make_frames.py FILE`.

The file has 128 frames, two bursts. Half of them are UDP of the smallest size and TCP acknowledgements, over IPv4. The
rest has all kinds and sizes: IPv6, VLAN and QinQ tags, fragments, IPv4 and IPv6 options, ICMP, full-sized segments. A
fixed seed shuffles them, so that a CPU cannot learn its branches from a short pattern. Each frame has random addresses
and ports. Checksums are complete, as on a wire. cost_test.py checks that the file is this program's.
"""

import random
import struct
import sys

SEED = 20120704
FRAMES = 128
UDP, TCP, ICMP, FRAGMENT6, HOP_BY_HOP = 17, 6, 1, 44, 0
VLAN, QINQ = struct.pack("!HH", 0x8100, 7), struct.pack("!HHHH", 0x88A8, 9, 0x8100, 7)
SMALLEST = 60  # without FCS


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(protocol, ports, payload, pseudo):
    """Returns a TCP or UDP segment with its checksum; `pseudo` has the addresses of the pseudo header."""
    if protocol == UDP:
        header, at = struct.pack("!HHHH", *ports, 8 + len(payload), 0), 6
    else:
        timestamps = struct.pack("!BBBBII", 1, 1, 8, 10, 1_000_000, 2_000_000)
        header, at = struct.pack("!HHIIBBHHH", *ports, 1_000, 2_000, 0x80, 0x10, 512, 0, 0) + timestamps, 16
    whole = header + payload
    sums = checksum(pseudo + struct.pack("!HH", protocol, len(whole)) + whole) or 0xFFFF
    return whole[:at] + struct.pack("!H", sums) + whole[at + 2:]


def ipv4(addresses, protocol, payload, options=b"", fragment=0):
    words = 5 + len(options) // 4
    header = struct.pack("!BBHHHBBH", 0x40 | words, 0, 4 * words + len(payload), 1, fragment, 64, protocol, 0)
    sums = struct.pack("!H", checksum(header + addresses + options))
    return b"\x08\x00" + header[:10] + sums + addresses + options + payload


def ipv6(addresses, following, payload):
    return b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + addresses + payload


def frame(kind, size, numbers):
    """Returns a frame of `size` bytes, or longer if its headers are."""
    tags = {"vlan": VLAN, "qinq": QINQ}.get(kind, b"")
    ports = numbers.randrange(1024, 65536), numbers.choice((53, 80, 443, 4789))
    hosts = [numbers.randrange(1, 65535) for _ in range(2)]
    if kind in ("udp6", "tcp6", "fragment6", "options6"):
        addresses = b"".join(b"\x20\x01\x0d\xb8" + bytes(10) + struct.pack("!H", host) for host in hosts)
        room = size - 14 - 40
        if kind == "fragment6":
            rest = segment(UDP, ports, bytes(room - 16), addresses)
            packet = ipv6(addresses, FRAGMENT6, struct.pack("!BBHI", UDP, 0, 1, 77) + rest)
        elif kind == "options6":
            rest = segment(UDP, ports, bytes(room - 16), addresses)
            packet = ipv6(addresses, HOP_BY_HOP, struct.pack("!BBBBHBB", UDP, 0, 5, 2, 0, 1, 0) + rest)
        else:
            protocol = UDP if kind == "udp6" else TCP
            payload = bytes(max(0, room - (8 if protocol == UDP else 32)))
            packet = ipv6(addresses, protocol, segment(protocol, ports, payload, addresses))
    else:
        addresses = b"".join(b"\x0a\x01" + struct.pack("!H", host) for host in hosts)
        room = size - 14 - len(tags) - 20
        if kind == "icmp":
            echo = struct.pack("!BBHHH", 8, 0, 0, 1, 1) + bytes(room - 8)
            packet = ipv4(addresses, ICMP, echo[:2] + struct.pack("!H", checksum(echo)) + echo[4:])
        elif kind == "fragment":
            packet = ipv4(addresses, UDP, segment(UDP, ports, bytes(room - 8), addresses), fragment=0x2000)
        elif kind == "last fragment":
            packet = ipv4(addresses, UDP, bytes(room), fragment=185)
        else:
            protocol = TCP if kind == "tcp" else UDP
            options = b"\x94\x04\x00\x00" if kind == "options" else b""  # router alert
            payload = bytes(max(0, room - len(options) - (8 if protocol == UDP else 32)))
            packet = ipv4(addresses, protocol, segment(protocol, ports, payload, addresses), options)
    macs = b"\x02\0\0\0\0\1\x02\0\0\0\0\2"
    return (macs + tags + packet).ljust(SMALLEST, b"\0")


COMMON = [("udp", SMALLEST)] * 40 + [("tcp", 66)] * 24
OTHERS = [(kind, size) for size in (SMALLEST + 20, 128, 256, 576, 1024, 1514)
          for kind in ("udp", "tcp", "udp6", "tcp6", "vlan", "qinq", "fragment", "last fragment", "options", "icmp")]
OTHERS += [("fragment6", 1514), ("fragment6", 576), ("options6", 94), ("options6", 576)]


def recording():
    """Returns the file's bytes: classic pcap, microseconds, Ethernet, every frame at time 0."""
    numbers = random.Random(SEED)
    kinds = COMMON + OTHERS
    assert len(kinds) == FRAMES
    numbers.shuffle(kinds)
    content = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    for kind, size in kinds:
        made = frame(kind, size, numbers)
        content += struct.pack("<IIII", 0, 0, len(made), len(made)) + made
    return content


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        file.write(recording())
