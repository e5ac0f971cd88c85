"""The two set-ups of these tests, as fixtures.

    reflector   gen: a0 ══ wan0 :dut            sluice-agent in dut, function "reflect"
    wire        left: a0 ══ wan0 :dut: lan0 ══ b0 :right     function "forward", or another with two ports

Each end of each veth pair can have four queues. A device with an XDP program must have at least as many RX queues as
its peer has TX queues (drivers/net/veth.c: veth_xdp_set), so the peers' TX queues change with the device's pairs
(Peers).
"""

import pytest

from tests.lib.agent import Agent, config

QUEUES = 4


class Peers:
    """The far ends of a device under test."""

    def __init__(self, *ends):
        self.ends = ends

    def transmit_on(self, queues):
        for netns, netdev in self.ends:
            netns.run("ethtool", "-L", netdev, "tx", queues, "rx", QUEUES)


class Device:
    """A namespace `dut` with an agent that is not started yet, and the peers of its ports."""

    def __init__(self, world, programs, dut, ports, function, peers, queue_pairs=1, autoscale=False,
                 **config_options):
        self.world = world
        self.programs = programs
        self.dut = dut
        self.netdevs = list(ports.values())
        self.peers = peers
        self.queue_pairs = queue_pairs
        self.agent = Agent(world, programs, dut, config(ports, function, '"auto"' if autoscale else queue_pairs,
                                                        **config_options))
        peers.transmit_on(queue_pairs)

    def start(self, *options):
        self.agent.start(*options)
        return self

    def resize(self, pairs, *options):
        """Runs `queues set`. The peers' TX queues change before a shrink and after a growth."""
        if pairs < self.queue_pairs:
            self.peers.transmit_on(pairs)
        answer = self.agent.ask("queues", "set", pairs, *options)
        if pairs > self.queue_pairs:
            self.peers.transmit_on(pairs)
        self.queue_pairs = pairs
        return answer


    def counts_of_veth(self):
        """Returns the counts that lost_by_veth() compares: (packets handed over, packets dropped, packets in our
        balance)."""
        counters = [self.dut.counters(netdev) for netdev in self.netdevs]
        received = self.agent.settled()["balance"]["received"]
        return sum(c["rx"]["packets"] for c in counters), sum(c["tx"]["dropped"] for c in counters), received

    def lost_by_veth(self, sent, before=(0, 0, 0)):
        """Returns the number of packets, of those `sent` after the counts `before`, that the test bed itself lost. veth
        switches its carrier off during `ethtool -L` (drivers/net/veth.c: veth_set_channels) and counts the packets sent
        meanwhile (net/core/dev.c: __dev_direct_xmit). When XDP is taken off it empties its receive rings without
        counting (veth_napi_del_range). Neither can hide a loss of ours: veth counts the packets that it handed over,
        and the balance must have received them all."""
        handed_over, dropped, received = (now - then for now, then in zip(self.counts_of_veth(), before))
        assert received == handed_over
        return sent - handed_over + dropped


class Reflector(Device):
    def __init__(self, world, programs, **options):
        self.gen, dut = world.netns("gen"), world.netns("dut")
        world.veth(self.gen, "a0", dut, "wan0", queues=QUEUES)
        super().__init__(world, programs, dut, {"wan": "wan0"}, "reflect", Peers((self.gen, "a0")), **options)
        self.mac = dut.mac("wan0")

    def traffic(self):
        """Returns the options by which flowgen sends through this device."""
        return {"tx": (self.gen, "a0"), "dst_mac": self.mac}


class Wire(Device):
    def __init__(self, world, programs, offloads=False, function="forward", **options):
        self.left, dut, self.right = world.netns("left"), world.netns("dut"), world.netns("right")
        world.veth(self.left, "a0", dut, "wan0", queues=QUEUES, offloads=offloads)
        world.veth(self.right, "b0", dut, "lan0", queues=QUEUES, offloads=offloads)
        super().__init__(world, programs, dut, {"wan": "wan0", "lan": "lan0"}, function,
                         Peers((self.left, "a0"), (self.right, "b0")), **options)

    def traffic(self):
        return {"tx": (self.left, "a0"), "rx": (self.right, "b0"), "both": True}

    def give_addresses(self):
        self.left.run("ip", "addr", "add", "192.0.2.1/24", "dev", "a0")
        self.right.run("ip", "addr", "add", "192.0.2.2/24", "dev", "b0")
        for netns, netdev in ((self.left, "a0"), (self.right, "b0")):
            netns.run("sysctl", "-qw", f"net.ipv6.conf.{netdev}.disable_ipv6=0")
        self.left.run("ip", "addr", "add", "2001:db8::1/64", "dev", "a0", "nodad")
        self.right.run("ip", "addr", "add", "2001:db8::2/64", "dev", "b0", "nodad")


@pytest.fixture
def reflector(world, programs):
    return lambda **options: Reflector(world, programs, **options)


@pytest.fixture
def wire(world, programs):
    return lambda **options: Wire(world, programs, **options)
