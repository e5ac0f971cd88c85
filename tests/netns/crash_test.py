"""kill -9 of either daemon. The other one goes on, the balance holds, and the next one takes over."""

import os
import signal
import time

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.command import wait_until


def background(device, programs, **options):
    return flowgen.Background(programs, **device.traffic(), flows=16, rate=2000, settle=1, **options)


def kill_dataplane(device):
    pid = device.agent.dataplane_pid()
    os.kill(pid, signal.SIGKILL)
    return pid


def recovered(device, old_pid):
    def another_one_runs():
        dataplane = device.agent.status()["dataplane"]
        return dataplane["state"] == "running" and dataplane["pid"] != old_pid

    wait_until(another_one_runs, "a new dataplane")


def received_by(device):
    return device.agent.status()["balance"]["received"]


def send_some(device, programs):
    return flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=5000, settle=0.5)


@pytest.mark.parametrize("policy", ["pass", "drop", "hold"])
def test_dataplane_is_restarted_and_traffic_flows_again(reflector, programs, policy):
    device = reflector(queue_pairs=2, on_dataplane_down=policy).start()
    assert send_some(device, programs)["exact"]
    pid = kill_dataplane(device)
    recovered(device, pid)
    report = send_some(device, programs)
    assert report["exact"], flowgen.words(report)
    status = device.agent.settled()
    assert status["dataplane"]["restarts"] == 1
    assert status["balance"]["dropped"] == 0


@pytest.mark.parametrize("policy", ["pass", "drop", "hold"])
def test_dataplane_killed_under_traffic(reflector, programs, policy):
    device = reflector(queue_pairs=2, on_dataplane_down=policy).start()
    with background(device, programs) as traffic:
        time.sleep(0.5)
        for _ in range(3):
            recovered(device, kill_dataplane(device))
            time.sleep(0.3)
        report = traffic.stop()
    lost, _, duplicated, corrupted = flowgen.counts(report)
    assert (duplicated, corrupted) == (0, 0), report
    assert lost < report["total"]["sent"], "no traffic at all came back"
    device.agent.settled()
    assert send_some(device, programs)["exact"]


def test_hold_loses_only_what_was_in_the_dead_ones_hands(reflector, programs):
    """A closed loop of 60 packets: the next dataplane handles the packets that wait in the rings."""
    device = reflector(queue_pairs=2, on_dataplane_down="hold").start()
    with background(device, programs, window=60) as traffic:
        time.sleep(0.5)
        recovered(device, kill_dataplane(device))
        time.sleep(0.5)
        report = traffic.stop()
    status = device.agent.settled()
    dropped = status["balance"]["dropped"]
    assert report["total"]["lost"] <= dropped <= 60, (report["total"], status["balance"])


def test_traffic_flows_on_without_the_agent_and_is_adopted(reflector, programs):
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    received = 0
    with background(device, programs, window=60) as traffic:
        time.sleep(0.5)
        for _ in range(2):
            device.agent.kill()
            time.sleep(0.5)
            device.agent.start()
            assert device.agent.dataplane_pid() == pid
            assert received_by(device) >= received, "counters went back"
            wait_until(lambda: received_by(device) > received, "traffic goes on")
            received = received_by(device)
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    device.agent.settled()


def test_adopted_function_can_be_resized(reflector, programs):
    device = reflector(queue_pairs=4).start()
    device.agent.kill()
    device.agent.start()
    device.resize(2)
    assert send_some(device, programs)["exact"]
    device.resize(4)
    assert send_some(device, programs)["exact"]
    device.agent.settled()


def test_both_die(reflector, programs):
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    device.agent.kill()
    os.kill(pid, signal.SIGKILL)
    device.agent.start()
    assert send_some(device, programs)["exact"]
    device.agent.settled()


def test_kernel_is_put_back_even_by_the_second_agent(reflector, world):
    device = reflector(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    device.agent.kill()
    device.agent.start()
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)
