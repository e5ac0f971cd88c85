"""queue_pairs = "auto": queue pairs follow real loads on veth.

A device with an XDP program must have as many RX queues as its peer has TX queues, so the test changes the peer after
the agent has grown, and before it may shrink.
"""

import os

import pytest

from tests.lib import flowgen, liveload
from tests.lib.command import PATIENCE, wait_until

pytestmark = pytest.mark.long

# Decisions take seconds of load; a starved machine may take many of them to make that load.
LONG = PATIENCE

needs_two_cores = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="there are no more pairs than cores")


def auto(device):
    return device.agent.status()["autoscale"]


def wait_for_pairs(device, pairs):
    wait_until(lambda: auto(device)["pairs"] == pairs, lambda: f"{pairs} pairs: {auto(device)}", timeout=LONG)


def wait_for_decision(device, why, more_than=0):
    wait_until(lambda: auto(device)["decisions"][why] > more_than, lambda: f"{why}: {auto(device)}", timeout=LONG)


def changes(device):
    decisions = auto(device)["decisions"]
    return {why: decisions[why] for why in ("full", "drops", "idle", "bounds", "refused")}


def flood(device, programs, flows):
    return liveload.Background(programs, (device.gen, "a0"), dst_mac=device.mac, size=64, flows=flows, duration=0)


def grow(device, programs):
    """Floods the device until it has two pairs."""
    with flood(device, programs, flows=256):
        wait_for_pairs(device, 2)


@needs_two_cores
def test_grows_under_load_and_shrinks_when_it_ends(reflector, programs):
    device = reflector(autoscale=True).start()
    idle = auto(device)
    assert (idle["mode"], idle["pairs"], idle["min"], idle["max"]) == ("auto", 1, 1, 2)
    wait_until(lambda: "1 pair carries it" in auto(device)["why"], lambda: auto(device))
    # A flood fills a worker on any machine. It takes the room of other packets: a stream beside it may lose some, but
    # keeps its order.
    with flowgen.Background(programs, **device.traffic(), flows=64, rate=1000) as traffic:
        grow(device, programs)
        report = traffic.stop()
    _, *others = flowgen.counts(report)
    assert others == [0, 0, 0] and report["total"]["received"] > 0, flowgen.words(report)
    device.agent.ask("queues", "hold")
    assert len(device.agent.status()["workers"]) == 2
    device.peers.transmit_on(2)
    counts = device.counts_of_veth()
    with flowgen.Background(programs, **device.traffic(), flows=64, rate=1000, settle=2) as traffic:
        before = device.agent.port("wan")["queues"][1]["rx_packets"]
        wait_until(lambda: device.agent.port("wan")["queues"][1]["rx_packets"] > before, "traffic on the new pair")
        device.peers.transmit_on(1)
        device.agent.ask("queues", "auto")
        wait_for_pairs(device, 1)
        report = traffic.stop()
    lost_by_veth = device.lost_by_veth(report["total"]["sent"], counts)
    assert flowgen.counts(report) == (lost_by_veth, 0, 0, 0), flowgen.words(report)
    status = device.agent.settled()
    assert len(status["workers"]) == 1
    counted = changes(device)
    assert counted["full"] + counted["drops"] >= 1 and counted["idle"] >= 1 and counted["refused"] == 0, counted
    log = device.agent.process.output()
    assert "autoscale: channels from 1 to 2: " in log and "autoscale: channels from 2 to 1: " in log
    device.agent.stop()


@needs_two_cores
def test_one_flow_that_fills_a_core_is_named_and_not_scaled_for(reflector, programs):
    device = reflector(autoscale=True).start()
    with flood(device, programs, flows=1):
        wait_for_decision(device, "one_flow")
        wait_until(lambda: "one flow is" in auto(device)["why"], lambda: auto(device))
        assert "fills its core" in device.agent.ctl("status").stdout.replace("\n", " ")
    assert changes(device) == dict.fromkeys(changes(device), 0)
    assert auto(device)["pairs"] == 1
    # As much of many flows is scaled for.
    grow(device, programs)


@needs_two_cores
def test_a_hold_stays_until_auto(reflector, programs):
    device = reflector(autoscale=True).start()
    assert device.agent.ask("queues", "hold")["mode"] == "hold"
    assert "held by `sluicectl queues hold`" in auto(device)["why"]
    answer = device.agent.ask("queues", "set", 2)
    assert "held at 2 until `sluicectl queues auto`" in answer["note"]
    device.agent.kill()
    device.agent.start()
    held = auto(device)
    assert (held["mode"], held["pairs"]) == ("hold", 2)
    assert "held by `sluicectl queues set`" in held["why"]
    answer = device.agent.ask("queues", "auto")
    assert answer["mode"] == "auto"
    wait_for_pairs(device, 1)
    assert device.agent.ask("queues", "set", 2, "--dry-run")["note"] == ""
    assert auto(device)["mode"] == "auto"
    device.agent.stop()


@needs_two_cores
def test_a_resize_that_fails_is_backed_off(reflector, programs):
    device = reflector(autoscale=True).start()
    grow(device, programs)
    # With two TX queues at the peer, veth refuses XDP on one RX queue.
    device.peers.transmit_on(2)
    wait_for_decision(device, "refused")
    wait_until(lambda: "is not tried again for" in auto(device)["why"], lambda: auto(device))
    assert auto(device)["pairs"] == 2
    device.peers.transmit_on(1)
    wait_for_pairs(device, 1)
    assert auto(device)["decisions"]["refused"] <= 5, "it waits 5, 10, 20 and more seconds"


def test_bounds_and_mode_change_live(reflector):
    device = reflector(autoscale=True).start()
    text = device.agent.config.read_text()

    def apply(settings):
        device.agent.config.write_text(text.replace('queue_pairs = "auto"', settings))
        return device.agent.ask("config", "apply", device.agent.config)

    change, = apply('queue_pairs = "auto"\nqueue_pairs_min = 3')["changes"]
    assert (change["key"], change["before"], change["after"]) == ("dataplane.queue_pairs_min", 1, 3)
    wait_for_pairs(device, 3)
    assert auto(device)["decisions"]["bounds"] == 1
    assert (auto(device)["min"], auto(device)["max"]) == (3, 3), "there are fewer cores"
    apply("queue_pairs = 2")
    assert (auto(device)["mode"], auto(device)["pairs"]) == ("off", 2)
    assert "queue_pairs is a number" in device.agent.refuse("queues", "hold")
    apply('queue_pairs = "auto"')
    wait_for_pairs(device, 1)
    # More than the device has: refused, and all is as before.
    device.agent.config.write_text(text.replace('queue_pairs = "auto"', 'queue_pairs = "auto"\nqueue_pairs_min = 5'))
    assert "has at most 4 queue pairs" in device.agent.refuse("config", "apply", device.agent.config)
    assert auto(device)["mode"] == "auto"
    device.agent.stop()
