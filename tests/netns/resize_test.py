"""Resizing under traffic: frames are conserved in any sequence, and the answer reports the steps.

The tests use veth. tests/vm and tests/bench have the levers on virtio-net. Every packet lost here is one that veth
lost.
"""

import random

import pytest

from tests.lib import flowgen

pytestmark = pytest.mark.long

# A fixed seed, so that every run has the same sequence; a failing assertion prints it.
SEED = 20120704


def sequence(length, start, most):
    """Returns `length` sizes from 1 to `most`, each different from the one before."""
    numbers = random.Random(SEED)
    sizes = [start]
    while len(sizes) <= length:
        size = numbers.randint(1, most)
        if size != sizes[-1]:
            sizes.append(size)
    return sizes[1:]


def background(device, programs, flows=32, **more):
    traffic = {**device.traffic(), **more}
    return flowgen.Background(programs, **traffic, flows=flows, rate=2000, window=60, settle=1, timeline=100)


@pytest.mark.parametrize("kind, resizes", [("reflector", 50), ("wire", 8)])
def test_random_channel_resizes_conserve_frames(request, programs, kind, resizes):
    device = request.getfixturevalue(kind)(queue_pairs=4).start()
    sizes = sequence(resizes, start=4, most=4)
    with background(device, programs) as traffic:
        for size in sizes:
            answer = device.resize(size)
            assert answer["outcome"]["result"] == "done", (size, answer)
            queue_pairs = device.agent.port("wan")["queue_pairs"]
            assert (queue_pairs["current"], queue_pairs["wanted"]) == (size, size)
        report = traffic.stop()
    lost, _, duplicated, corrupted = flowgen.counts(report)
    # The test bed itself reorders: a flow's TX queue changes with the number of queues, without a fence.
    assert (lost, duplicated, corrupted) == (device.lost_by_veth(report["total"]["sent"]), 0, 0), (sizes, report)
    balance = device.agent.settled()["balance"]
    assert (balance["dropped"], balance["received"]) == (0, balance["transmitted"]), balance


def test_workers_under_traffic_cost_nothing(reflector, programs):
    device = reflector(queue_pairs=4, dataplane={"workers": 1, "cores": [0, 1]}).start()
    with background(device, programs, flows=256) as traffic:
        for changes, workers in enumerate(sequence(1000, start=1, most=2)):
            device.agent.ctl("workers", "set", workers)
            if changes % 50 == 0:
                status = device.agent.status()
                assert len(status["workers"]) == workers
                assert sorted(lane for worker in status["workers"] for lane in worker["lanes"]) == [0, 1, 2, 3]
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    assert device.agent.settled()["balance"]["dropped"] == 0


def test_one_way_traffic_while_resizing(wire, programs):
    device = wire(queue_pairs=2).start()
    with background(device, programs, both=False) as traffic:
        for size in (1, 2, 1, 2):
            device.resize(size)
        report = traffic.stop()
    lost, _, duplicated, corrupted = flowgen.counts(report)
    assert (lost, duplicated, corrupted) == (device.lost_by_veth(report["total"]["sent"]), 0, 0), report


def test_same_count_twice_does_nothing(reflector):
    device = reflector(queue_pairs=2).start()
    before = device.agent.status()["last_resize"] if "last_resize" in device.agent.status() else None
    answer = device.agent.ask("queues", "set", 2)
    assert answer["method"] == "none"
    assert answer.get("steps", []) == []
    after = device.agent.status()
    assert after.get("last_resize") == before


def test_dry_run_changes_nothing_and_shows_the_plan(reflector):
    device = reflector(queue_pairs=4).start()
    channels = device.dut.run("ethtool", "-l", "wan0").stdout
    answer = device.agent.ask("queues", "set", 2, "--dry-run")
    assert answer["method"] == "channels"
    assert any("ethtool -L wan0" in step for step in answer["steps"])
    assert device.dut.run("ethtool", "-l", "wan0").stdout == channels
    assert device.agent.port("wan")["queue_pairs"]["current"] == 4


def test_what_was_done_is_reported(reflector):
    device = reflector(queue_pairs=2).start()
    answer = device.resize(1)
    assert answer["method"] == "channels"
    outcome = device.agent.status()["last_resize"]
    assert (outcome["from"], outcome["to"], outcome["result"]) == (2, 1, "done")
    assert outcome["blocked_ns"] > 0
    assert all(step["took_ns"] > 0 for step in outcome["steps"])
