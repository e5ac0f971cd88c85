"""Ordinary programs of two hosts that `forward` connects without their notice."""

import json
import os

import pytest

from tests.lib.command import wait_until


@pytest.fixture(params=[1, 4], ids=["one-pair", "four-pairs"])
def hosts(wire, request):
    device = wire(queue_pairs=request.param)
    device.give_addresses()
    return device.start()


def iperf3(device, *options, server="192.0.2.2"):
    daemon = device.right.start("iperf3", "--server", "--one-off")
    wait_until(lambda: ":5201" in device.right.run("ss", "-Hltn").stdout, "iperf3 server")
    done = device.left.run("iperf3", "--client", server, "--json", *options)
    daemon.wait()
    return json.loads(done.stdout)["end"]


def counted(netns, name):
    """Returns a counter of the kernel, summed over IPv4 and IPv6."""
    counters = netns.json("nstat", "--json", "-az")["kernel"]
    return sum(value for counter, value in counters.items() if counter in (name, name.replace("Udp", "Udp6")))


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_ping(hosts, address):
    # With -w, -c counts replies: ping succeeds once all have come, even late ones.
    hosts.left.run("ping", "-c", 20, "-w", 90, "-i", 0.05, address)
    hosts.agent.settled()


@pytest.mark.parametrize("size", [1, 1000, 1472])
def test_ping_of_every_size(hosts, size):
    hosts.left.run("ping", "-c", 5, "-w", 90, "-i", 0.05, "-M", "do", "-s", size, "192.0.2.2")
    balance = hosts.agent.settled()["balance"]
    assert (balance["dropped"], balance["received"]) == (0, balance["transmitted"])


@pytest.mark.parametrize("options", [(), ("--reverse",), ("--parallel", "4")], ids=["up", "down", "parallel"])
def test_tcp(hosts, options):
    amount = 8 << 20
    end = iperf3(hosts, "--bytes", amount, *options)
    # The client ends when it has sent everything; some of it may still be on the way.
    assert end["sum_sent"]["bytes"] >= amount
    assert end["sum_received"]["bytes"] > amount / 8
    hosts.agent.settled()


def test_udp(hosts):
    """An open loop on a machine that may be busy: losses of veth's rings or iperf3's socket are no defect of ours."""
    end = iperf3(hosts, "--udp", "--time", 3, "--bitrate", "10M", "--length", "1000")
    assert end["sum"]["lost_packets"] < end["sum"]["packets"]
    balance = hosts.agent.settled()["balance"]
    assert balance["dropped"] == 0 and balance["received"] >= counted(hosts.right, "UdpInDatagrams") > 0


def check_checksums(device, mode="auto"):
    """Checks that frames came with partial checksums, and that no host got a wrong one. In skb mode frames of a veth
    come over the bridge (bpf/tag_apart.h), which completes them itself."""
    wrong = {(netns.label, name): counted(netns, name)
             for netns in (device.left, device.right) for name in ("TcpInCsumErrors", "UdpInCsumErrors")}
    assert not any(wrong.values()), wrong
    ports = device.agent.settled()["ports"]
    for port in ports:
        completed = sum(queue["checksums_completed"] for queue in port["queues"])
        assert completed > 0 if mode == "auto" else port["bridge"]["rx_packets"] > 0, port
        assert port["bridge"]["checksums_completed"] == 0, "the bridge's veth pair completes them itself"


def hosts_with_offloads(wire, mode):
    """Makes hosts with the default offloads of veth: the sender leaves checksums and segments to its device."""
    device = wire(queue_pairs=2, offloads=True, dataplane={"mode": mode})
    device.give_addresses()
    for netns, netdev in ((device.left, "a0"), (device.right, "b0")):
        assert "tx-checksum-ip-generic: on" in netns.run("ethtool", "-k", netdev).stdout
    return device.start()


@pytest.fixture
def offloading_hosts(wire):
    return hosts_with_offloads(wire, "auto")


@pytest.mark.parametrize("address", ["192.0.2.2", "2001:db8::2"])
def test_tcp_with_partial_checksums(offloading_hosts, address):
    """Data flows both ways; TCP completes a transfer only if the checksums are right."""
    amount = 4 << 20
    for options in ((), ("--reverse",)):
        end = iperf3(offloading_hosts, "--bytes", amount, *options, server=address)
        assert end["sum_sent"]["bytes"] >= amount and end["sum_received"]["bytes"] > amount / 8
    check_checksums(offloading_hosts)


@pytest.mark.parametrize("mode, address", [("auto", "192.0.2.2"), ("auto", "2001:db8::2"), ("skb", "192.0.2.2")])
def test_udp_with_partial_checksums(wire, mode, address):
    """The number of datagrams that arrive depends on the machine. All of them come with partial checksums, except those
    (one in 65,536) whose partial sum is that of a complete checksum."""
    device = hosts_with_offloads(wire, mode)
    iperf3(device, "--udp", "--time", 2, "--bitrate", "5M", "--length", "1000", server=address)
    arrived = counted(device.right, "UdpInDatagrams")
    assert arrived > 1
    check_checksums(device, mode)
    wan = device.agent.port("wan")
    assert {queue["mode"] for queue in wan["queues"]} == {"copy" if mode == "auto" else "skb"}
    completed = sum(queue["checksums_completed"] for queue in wan["queues"])
    assert (completed if mode == "auto" else wan["bridge"]["rx_packets"]) > arrived / 2


def test_partial_checksums_over_the_bridge(offloading_hosts):
    """Resizes during a transfer: the packets that take the bridge get complete checksums too."""
    device = offloading_hosts
    server = device.right.start("iperf3", "--server", "--one-off")
    wait_until(lambda: ":5201" in device.right.run("ss", "-Hltn").stdout, "iperf3 server")
    client = device.left.start("iperf3", "--client", "192.0.2.2", "--json", "--time", 3)
    for pairs in (4, 1):
        device.resize(pairs)
    assert client.wait() == 0, client.output()
    server.wait()
    assert json.loads(client.output())["end"]["sum_received"]["bytes"] > 0
    assert sum(port["bridge"]["rx_packets"] for port in device.agent.settled()["ports"]) > 0
    check_checksums(device)


def test_tcp_survives_worker_changes(hosts):
    server = hosts.right.start("iperf3", "--server", "--one-off")
    wait_until(lambda: ":5201" in hosts.right.run("ss", "-Hltn").stdout, "iperf3 server")
    client = hosts.left.start("iperf3", "--client", "192.0.2.2", "--json", "--time", 4)
    most = hosts.queue_pairs if os.cpu_count() >= hosts.queue_pairs else 1
    for workers in (1, most, 1, most):
        hosts.agent.ctl("workers", "set", workers)
    assert client.wait() == 0, client.output()
    server.wait()
    assert json.loads(client.output())["end"]["sum_received"]["bytes"] > 0
