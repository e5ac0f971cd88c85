"""The guest's own stack on a port: real DHCP clients and servers, router advertisements, IGMP, MLD and VRRP. Under
`forward` the far side gets what is for everybody as well."""

import contextlib
import ipaddress
import os
import signal
import socket
import struct

import pytest

from tests.lib.command import wait_until
from tests.lib.world import in_netns

ALL_HOSTS, VRRP_GROUP, STREAM = "224.0.0.1", "224.0.0.18", "239.1.2.3"
ALL_NODES, STREAM6 = "ff02::1", "ff0e::1:2:3"
ROUTER = "fe80::1:1"
PREFIX = ipaddress.ip_address("2001:db8:7::").packed
ETH_P_ALL = 3
ROUTER_ALERT, HOP_BY_HOP_ALERT = bytes([148, 4, 0, 0]), bytes([58, 0, 5, 2, 0, 0, 1, 0])
LEASE = """#!/bin/sh
echo "$1 $ip" >> "$(dirname "$0")/leases"
[ -z "$ip" ] || ip addr replace "$ip/24" dev "$interface"
"""


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)


def group_mac(group):
    address = ipaddress.ip_address(group).packed
    if len(address) == 4:
        return bytes([1, 0, 0x5E, address[1] & 0x7F]) + address[2:]
    return b"\x33\x33" + address[12:]


def ipv4(proto, group, payload, ttl=1, options=b""):
    head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 20 + len(options) + len(payload), 7, 0, ttl, proto, 0)
    head += socket.inet_aton("192.0.2.1") + socket.inet_aton(group) + options
    return b"\x08\x00" + head[:10] + checksum(head) + head[12:] + payload


def icmp6(group, message, hops, header=b""):
    """Returns an ICMPv6 packet of the router's; `header` is a hop-by-hop header in front of it."""
    addresses = ipaddress.ip_address(ROUTER).packed + ipaddress.ip_address(group).packed
    pseudo = addresses + struct.pack("!II", len(message), 58)
    message = message[:2] + checksum(pseudo + message) + message[4:]
    first = 0 if header else 58
    return (b"\x86\xdd" + struct.pack("!IHBB", 6 << 28, len(header) + len(message), first, hops) + addresses +
            header + message)


def advertisement(lifetime):
    """Returns a router advertisement (RFC 4861 section 4.2) of 2001:db8:7::/64."""
    prefix = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, lifetime, lifetime, 0) + PREFIX
    return icmp6(ALL_NODES, struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 600, 0, 0) + prefix, 255)


def igmp_query():
    message = struct.pack("!BBH", 0x11, 10, 0) + bytes(4) + struct.pack("!BBH", 2, 10, 0)  # RFC 3376 section 4.1
    return ipv4(2, ALL_HOSTS, message[:2] + checksum(message) + message[4:], options=ROUTER_ALERT)


def mld_query():
    message = struct.pack("!BBHHH", 130, 0, 0, 100, 0) + bytes(16) + struct.pack("!BBH", 2, 10, 0)  # RFC 3810 5.1
    return icmp6(ALL_NODES, message, 1, HOP_BY_HOP_ALERT)


def vrrp_advert(number):
    message = struct.pack("!BBBBBBH", 0x31, number, 100, 1, 0, 100, 0) + socket.inet_aton("192.0.2.254")
    return ipv4(112, VRRP_GROUP, message, ttl=255)


class Tap:
    """A packet socket on a device: sends frames to groups, and looks for frames."""

    def __init__(self, netns, netdev):
        self.mac = bytes.fromhex(netns.mac(netdev).replace(":", ""))
        self.socket = in_netns(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        self.socket.bind((netdev, ETH_P_ALL))
        self.socket.setblocking(False)
        self.seen = []

    def send(self, packet, group):
        self.socket.send((group_mac(group) + self.mac + packet).ljust(60, b"\0"))

    def frames(self, part):
        """Returns the number of frames with these bytes that came so far."""
        while True:
            try:
                frame, address = self.socket.recvfrom(2048)
            except BlockingIOError:
                return sum(part in frame for frame in self.seen)
            if address[2] != socket.PACKET_OUTGOING:
                self.seen.append(frame)


class Client:
    """busybox udhcpc on a device of a namespace."""

    def __init__(self, world, netns, netdev, *options):
        self.folder = world.folder / f"client-{netdev}"
        self.folder.mkdir()
        script = self.folder / "script"
        script.write_text(LEASE)
        script.chmod(0o755)
        self.process = netns.start("busybox", "udhcpc", "-f", "-i", netdev, "-s", script, "-t", "30", "-T", "2",
                                   *options)

    def leases(self, kind):
        lines = self.folder / "leases"
        words = [line.split() for line in lines.read_text().splitlines()] if lines.exists() else []
        return [word[1] for word in words if word[0] == kind]

    def renew(self):
        self.process.signal(signal.SIGUSR1)


def serve_leases(world, netns, netdev):
    """Starts dnsmasq. It answers by unicast unless the client asks for broadcasts (RFC 2131 section 4.1)."""
    netns.run("ip", "addr", "replace", "192.0.2.1/24", "dev", netdev)
    netns.start("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=", "--port=0",
                f"--interface={netdev}", "--dhcp-range=192.0.2.100,192.0.2.110,600", "--no-ping", "--log-facility=-",
                f"--dhcp-leasefile={world.folder / 'dnsmasq.leases'}", "--dhcp-authoritative")


def counted(device, verdict, name="wan"):
    port = device.agent.port(name)
    return sum(int(queue["xdp_packets"].get(verdict, 0)) for queue in port["queues"])


def expect_lease_and_renewal(client, device):
    wait_until(lambda: client.leases("bound"), lambda: f"a lease: {client.process.output()}")
    client.renew()
    wait_until(lambda: client.leases("renew"), lambda: f"a renewal: {client.process.output()}")
    assert client.leases("bound") == client.leases("renew")
    device.agent.settled()


@pytest.fixture(params=["auto", "skb"])
def mode(request):
    return {"mode": request.param}


@pytest.mark.parametrize("options", [(), ("-B",)], ids=["unicast", "broadcast"])
def test_a_port_without_an_address_gets_a_lease_under_reflect(world, reflector, mode, options):
    device = reflector(dataplane=mode).start()
    serve_leases(world, device.gen, "a0")
    client = Client(world, device.dut, "wan0", *options)
    expect_lease_and_renewal(client, device)
    assert counted(device, "both") == 0


@pytest.mark.parametrize("options", [(), ("-B",)], ids=["unicast", "broadcast"])
def test_a_port_without_an_address_gets_a_lease_under_forward(world, wire, mode, options):
    device = wire(dataplane=mode).start()
    far = Tap(device.right, "b0")
    serve_leases(world, device.left, "a0")
    client = Client(world, device.dut, "wan0", *options)
    expect_lease_and_renewal(client, device)
    # Behind UDP's ports: the server's answers.
    answers = far.frames(struct.pack("!HH", 67, 68))
    if options:
        assert answers >= 2, "broadcasts are for the far side, too"
        assert counted(device, "both") >= 2
    else:
        assert answers == 0, "the guest's alone"


def test_leases_of_hosts_behind_the_wire_are_not_the_guests(world, wire, mode):
    device = wire(dataplane=mode).start()
    serve_leases(world, device.left, "a0")
    client = Client(world, device.right, "b0", "-B")
    expect_lease_and_renewal(client, device)
    assert (counted(device, "both"), counted(device, "both", "lan")) == (0, 0)


def ipv6_on(device, *ports):
    device.dut.run("sysctl", "-qw", "net.ipv6.conf.default.accept_ra=2")
    for netdev in ports:
        device.dut.run("sysctl", "-qw", f"net.ipv6.conf.{netdev}.disable_ipv6=0", f"net.ipv6.conf.{netdev}.accept_ra=2",
                       f"net.ipv6.conf.{netdev}.autoconf=1")


def slaac_addresses(device):
    """Returns {address: seconds that it is still valid} of wan0."""
    shown = device.dut.json("ip", "-j", "-6", "addr", "show", "dev", "wan0")
    return {info["local"]: info["valid_life_time"] for link in shown for info in link.get("addr_info", [])
            if info["local"].startswith("2001:db8:7:")}


def advertise_until(near, lifetime, condition, text):
    """Sends advertisements as a router does, again and again: a group that was just joined is known within a second.
    Returns the number of advertisements."""
    sent = 0

    def advertised():
        nonlocal sent
        near.send(advertisement(lifetime), ALL_NODES)
        sent += 1
        return condition()

    wait_until(advertised, text, every=0.2)
    return sent


def test_router_advertisements_reach_the_guest_and_the_host_behind_it(wire, mode):
    device = wire(dataplane=mode)
    ipv6_on(device, "wan0")
    device.start()
    near, far = Tap(device.left, "a0"), Tap(device.right, "b0")
    sent = advertise_until(near, 600, lambda: slaac_addresses(device), "an address by SLAAC")
    (address, valid), = slaac_addresses(device).items()
    assert valid <= 600
    sent += advertise_until(near, 7200, lambda: slaac_addresses(device)[address] > 600, "the address is kept")
    wait_until(lambda: far.frames(PREFIX) >= sent, "advertisements behind forward")
    assert far.frames(PREFIX) == sent, "each once"
    assert counted(device, "both") >= 2
    device.agent.settled()


def test_a_guest_without_ipv6_gets_no_advertisements(wire, mode):
    device = wire(dataplane=mode).start()
    near, far = Tap(device.left, "a0"), Tap(device.right, "b0")
    for _ in range(5):
        near.send(advertisement(600), ALL_NODES)
    wait_until(lambda: far.frames(PREFIX) == 5, "advertisements behind forward")
    assert counted(device, "both") == 0


def test_a_rule_switches_a_default_off(wire, mode):
    device = wire(dataplane=mode)
    ipv6_on(device, "wan0")
    device.start()
    near, far = Tap(device.left, "a0"), Tap(device.right, "b0")
    advertise_until(near, 600, lambda: counted(device, "both") > 0, "copies by default")
    device.agent.ctl("rules", "add", "dataplane", "proto=icmpv6")
    before, sent_before = counted(device, "both"), far.frames(b"\x86\xdd")
    for _ in range(5):
        near.send(advertisement(600), ALL_NODES)
    wait_until(lambda: far.frames(b"\x86\xdd") >= sent_before + 5, "advertisements behind forward")
    assert counted(device, "both") == before


def test_dhcpv6_reaches_a_link_local_address(wire, mode):
    device = wire(dataplane=mode)
    ipv6_on(device, "wan0")
    device.start()
    device.left.run("sysctl", "-qw", "net.ipv6.conf.a0.disable_ipv6=0")

    def link_local(netns, netdev):
        shown = netns.json("ip", "-j", "-6", "addr", "show", "dev", netdev, "scope", "link", "-tentative")
        return next((info["local"] for link in shown for info in link.get("addr_info", []) if "local" in info), None)

    wait_until(lambda: link_local(device.dut, "wan0") and link_local(device.left, "a0"), "link-local addresses")
    with in_netns(device.dut, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as client, \
            in_netns(device.left, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as server:
        client.bind(("::", 546))
        client.settimeout(60)
        server.bind(("::", 547))
        server.sendto(b"advertise", (link_local(device.dut, "wan0"), 546, 0, device.left.ifindex("a0")))
        assert client.recv(64) == b"advertise"


def join(netns, netdev, group, proto):
    """Returns a raw socket of that protocol in the group."""
    sock = in_netns(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, proto))
    request = struct.pack("=4s4si", socket.inet_aton(group), b"", netns.ifindex(netdev))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
    sock.setblocking(False)
    return sock


def received(sock):
    count = 0
    while True:
        try:
            sock.recv(2048)
            count += 1
        except BlockingIOError:
            return count


def test_vrrp_reaches_guest_and_far_side_once_the_guest_has_joined(wire, mode):
    device = wire(dataplane=mode)
    device.dut.run("ip", "addr", "add", "192.0.2.3/24", "dev", "wan0")
    device.start()
    near, far = Tap(device.left, "a0"), Tap(device.right, "b0")
    sent = 5
    for _ in range(sent):
        near.send(vrrp_advert(sent), VRRP_GROUP)
    wait_until(lambda: far.frames(b"\x31\x05\x64\x01") == sent, "adverts at the far side")
    assert counted(device, "both") == 0, "nobody in the guest has joined"
    with join(device.dut, "wan0", VRRP_GROUP, 112) as guest:
        got = 0

        def advertised():
            nonlocal got, sent
            near.send(vrrp_advert(5), VRRP_GROUP)
            sent += 1
            got += received(guest)
            return got >= 5

        wait_until(advertised, "adverts in the guest", every=0.1)
        wait_until(lambda: far.frames(b"\x31\x05\x64\x01") == sent, "each once at the far side")
    wait_until(lambda: VRRP_GROUP not in device.dut.run("ip", "maddr", "show", "dev", "wan0").stdout, "left")

    def no_more_copies():
        before, frames = counted(device, "both"), far.frames(b"\x31\x06\x64\x01")
        near.send(vrrp_advert(6), VRRP_GROUP)
        wait_until(lambda: far.frames(b"\x31\x06\x64\x01") > frames, "one more at the far side")
        return counted(device, "both") == before

    wait_until(no_more_copies, "no copies any more", every=0.3)
    device.agent.settled()


def test_igmp_and_mld_queries_are_answered_and_go_on(wire, mode):
    device = wire(dataplane=mode)
    ipv6_on(device, "wan0")
    device.dut.run("ip", "addr", "add", "192.0.2.3/24", "dev", "wan0")
    near, far = Tap(device.left, "a0"), Tap(device.right, "b0")
    device.start()
    index = struct.pack("=i", device.dut.ifindex("wan0"))
    with join(device.dut, "wan0", STREAM, socket.IPPROTO_UDP), \
            in_netns(device.dut, lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)) as six:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, ipaddress.ip_address(STREAM6).packed + index)
        for query, group, report in ((igmp_query(), ALL_HOSTS, b"\x02" + bytes(3) + socket.inet_aton(STREAM)),
                                     (mld_query(), ALL_NODES, ipaddress.ip_address(STREAM6).packed)):
            before = counted(device, "both")

            def asked():
                near.send(query, group)
                return counted(device, "both") > before + 1

            wait_until(asked, "the query in the guest", every=0.2)
            reports = near.frames(report)

            def answered():
                near.send(query, group)
                return near.frames(report) > reports

            wait_until(answered, "a report", every=0.5)
            wait_until(lambda: far.frames(query[-24:]) >= 2, "the query at the far side")
    device.agent.settled()


@contextlib.contextmanager
def on_one_cpu():
    """veth without XDP queues packets on the sender's CPU (net/core/dev.c: netif_rx): a sender that moves overtakes
    itself."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_a_rule_for_both_and_its_names(wire, mode):
    device = wire(dataplane=mode)
    device.give_addresses()
    device.dut.run("ip", "addr", "add", "192.0.2.3/24", "dev", "wan0")
    device.start()
    answer = device.agent.ask("rules", "add", "both", "proto=udp", "dst_port=7777")
    assert answer["rules"][0]["fields"] == {"action": "both", "proto": "udp", "dst_port": 7777}
    assert "both" in device.agent.ctl("rules").stdout
    guest, host = (in_netns(netns, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                   for netns in (device.dut, device.right))
    for sock, address in ((guest, "192.0.2.3"), (host, "192.0.2.2")):
        sock.bind((address, 7777))
        sock.settimeout(60)
    with in_netns(device.left, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender, on_one_cpu():
        for number in range(100):
            sender.sendto(struct.pack("!I", number), ("192.0.2.2", 7777))
        assert [struct.unpack("!I", host.recv(64))[0] for _ in range(100)] == list(range(100)), "all, in order"
        sender.sendto(b"guest", ("192.0.2.3", 7777))
        assert guest.recv(64) == b"guest"
    guest.close()
    host.close()
    wait_until(lambda: counted(device, "both") == 101, "each counted once")
    assert int(device.agent.ask("rules")["rules"][0]["packets"]) == 101
    assert "both" in device.agent.ctl("stats").stdout
    balance = device.agent.settled()["balance"]
    assert balance["received"] >= 101 and balance["unaccounted"] == 0
