"""Offloaded flows: every packet still comes back once, in order and rewritten, and is accounted for.

Packets that XDP sends over veth arrive only if the peer has an XDP program (drivers/net/veth.c: veth_xdp_flush). So the
peers have one that passes everything: ours, which no agent has activated.
"""

import contextlib
import os
import signal

import pytest

from tests.lib import flowgen
from tests.lib.command import wait_until
from tests.lib.fault import StoppedThread, threads

WINDOW = 60
OFFLOAD = {"dataplane": {"offload": "on"}}
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
    device = offloading(reflector(queue_pairs=pairs, **OFFLOAD))
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert report["directions"][0]["macs_swapped"] == report["total"]["sent"] == 20_000
    status = device.agent.settled()
    check_balance(status, 20_000)
    # The first packets of each flow went through the dataplane, until it was offloaded.
    assert status["balance"]["offloaded"] > 10_000
    device.agent.stop()


@pytest.mark.parametrize("shape", SHAPES)
def test_forward(wire, programs, shape):
    device = offloading(wire(queue_pairs=2, **OFFLOAD))
    report = send(device, programs, **SHAPES[shape])
    assert report["exact"], flowgen.words(report)
    assert [d["macs_unchanged"] for d in report["directions"]] == [20_000, 20_000]
    status = device.agent.settled()
    check_balance(status, 40_000)
    assert status["balance"]["offloaded"] > 20_000
    device.agent.stop()


def test_a_rule_is_in_force_when_it_is_acknowledged(reflector, programs):
    """After the answer of `rules add` no packet follows an old decision; none overtakes when the rule is deleted."""
    device = offloading(reflector(queue_pairs=2, **OFFLOAD))
    agent = device.agent
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=4000) as stream:
        wait_until(lambda: agent.status()["balance"]["offloaded"] > 2000, "packets offloaded")
        agent.ctl("rules", "add", "drop", "proto=udp")
        answered = agent.status()["balance"]["offloaded"]
        dropped = dropped_by_rule(agent)
        wait_until(lambda: dropped_by_rule(agent) > dropped + 1000, "packets dropped by the rule")
        assert agent.status()["balance"]["offloaded"] == answered
        agent.ctl("rules", "del", "1")
        wait_until(lambda: agent.status()["balance"]["offloaded"] > answered + 2000, "packets offloaded again")
        agent.ctl("blocklist", "add", "198.18.0.0/15")
        answered = agent.status()["balance"]["offloaded"]
        wait_until(lambda: blocked(agent) > 1000, "packets of blocked sources dropped")
        assert agent.status()["balance"]["offloaded"] == answered
        agent.ctl("blocklist", "del", "198.18.0.0/15")
        wait_until(lambda: agent.status()["balance"]["offloaded"] > answered + 2000, "packets offloaded a third time")
    total = stream.report["total"]
    agent.settled()
    assert total["lost"] == dropped_by_rule(agent) + blocked(agent), flowgen.words(stream.report)
    assert (total["reordered"], total["duplicated"], total["corrupted"]) == (0, 0, 0), flowgen.words(stream.report)


@pytest.mark.parametrize("stopped", ["all", "worker-1", "sluice-dataplan"])
def test_a_rule_is_in_force_though_the_dataplane_hangs(reflector, programs, stopped):
    """XDP went on sending the offloaded flows for as long as the agent waited for the dataplane."""
    device = offloading(reflector(queue_pairs=2, **OFFLOAD))
    agent = device.agent
    pid = agent.dataplane_pid()
    with contextlib.ExitStack() as stack:
        stack.enter_context(flowgen.Background(programs, **device.traffic(), flows=16, rate=4000))
        wait_until(lambda: agent.status()["balance"]["offloaded"] > 2000, "packets offloaded")
        if stopped == "all":
            os.kill(pid, signal.SIGSTOP)
        else:
            stack.enter_context(StoppedThread(threads(pid)[stopped]))
        agent.ctl("rules", "add", "drop", "proto=udp")
        answered = agent.status()["balance"]["offloaded"]
        for _ in range(2):
            dropped = dropped_by_rule(agent)
            wait_until(lambda: dropped_by_rule(agent) > dropped + 1000, "packets dropped by the rule")
            assert agent.status()["balance"]["offloaded"] == answered
            wait_until(lambda: agent.dataplane_pid() not in (0, pid), "another dataplane")


def verdicts(agent, name):
    return sum(queue["xdp_packets"].get(name, 0) for queue in agent.port("wan")["queues"])


def dropped_by_rule(agent):
    return verdicts(agent, "drop")


def blocked(agent):
    return verdicts(agent, "blocked")


def test_resizes_with_offloaded_flows_are_exact(wire, programs):
    """Flows are withdrawn before a resize and offloaded again after it; no packet is lost, doubled or out of order."""
    device = offloading(wire(queue_pairs=1, **OFFLOAD))
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=0, window=WINDOW) as stream:
        for workers in (2, 1, 2):
            offloaded = device.agent.status()["balance"]["offloaded"]
            wait_until(lambda: device.agent.status()["balance"]["offloaded"] > offloaded + 5000, "packets offloaded")
            device.agent.ctl("workers", "set", workers)
    assert flowgen.counts(stream.report) == flowgen.EXACT, flowgen.words(stream.report)


def test_a_dataplane_that_dies_decides_no_more(reflector, programs):
    """XDP sends nothing while there is no dataplane, and the next one offloads flows again."""
    device = offloading(reflector(queue_pairs=2, on_dataplane_down="hold", **OFFLOAD))
    agent = device.agent
    assert send(device, programs)["exact"]
    offloaded, pid = agent.status()["balance"]["offloaded"], agent.dataplane_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: agent.dataplane_pid() not in (0, pid), "another dataplane")
    wait_on(device)
    report = send(device, programs)
    assert report["exact"], flowgen.words(report)
    assert agent.settled()["balance"]["offloaded"] > offloaded + 10_000


def test_an_agent_that_comes_back_decides_anew(reflector, programs):
    device = offloading(reflector(queue_pairs=2, **OFFLOAD))
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=3000, window=60) as stream:
        wait_until(lambda: device.agent.status()["balance"]["offloaded"] > 2000, "packets offloaded")
        device.agent.kill()
        device.agent.start()
        wait_on(device)
        offloaded = device.agent.status()["balance"]["offloaded"]
        wait_until(lambda: device.agent.status()["balance"]["offloaded"] > offloaded + 2000, "packets offloaded again")
    assert flowgen.counts(stream.report) == flowgen.EXACT, flowgen.words(stream.report)


@pytest.mark.parametrize("options, reason", [
    ({"dataplane": {"offload": "auto"}}, "driver veth may not send"),
    ({}, "the configuration says off"),
    ({"dataplane": {"offload": "on", "mode": "skb"}}, "skb mode"),
])
def test_where_it_is_off_status_says_why(reflector, options, reason):
    device = reflector(**options).start()
    wait_until(lambda: reason in device.agent.status()["offload"]["reason"], lambda: str(device.agent.status()))
    assert not device.agent.status()["offload"]["on"]
    assert "offload: off; " in device.agent.ctl("status").stdout


def test_decisions_of_an_earlier_agent_do_not_come_back(reflector, programs):
    """The flow table outlives the agent if xdp-loader attached the program; the decisions in it do not."""
    device = reflector(**OFFLOAD)
    pins = device.agent.pin_root / "wan0"
    pins.mkdir(parents=True)
    device.dut.run("xdp-loader", "load", "-m", "native", "-p", pins, "wan0", programs.bpf / "sluice_steer.bpf.o")
    offloading(device)
    assert send(device, programs, flows=4)["exact"]
    device.agent.stop()
    device.agent.config.write_text(device.agent.config.read_text() + '[[rule]]\naction = "drop"\n')
    device.agent.start()
    wait_on(device)
    report = flowgen.run(programs, **device.traffic(), flows=4, rate=1000, count=400, settle=0.5)
    assert report["total"]["received"] == 0, flowgen.words(report)
    assert dropped_by_rule(device.agent) == 400
