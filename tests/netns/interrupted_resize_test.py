"""A resize that is cut short at each of its calls: to the dataplane, to the kernel, in either daemon. Afterwards it
is the old state or the new one, status says which, traffic is exact, and the balance holds.

Interrupted at a call's number (tests/lib/fault.py), one after the other, until a resize makes no call with that
number: so no step is left out, and none is named here that may change.
"""

import os
import signal

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import UNREACHABLE
from tests.lib.command import wait_until
from tests.lib.fault import KILL, Fault, refusal

FEW, MANY = 2, 4
FOUND = 3
# Dataplanes that die are restarted at once so many times (dataplane_supervisor.cc); a new agent counts anew.
FORGIVEN = 3
# To the dataplane; to the kernel by netlink (XDP, channels); a lane's socket to its queue.
CALLS_OF_THE_AGENT = ["sendmsg", "sendto", "bind"]
# A request is read; it is done, and answered.
CALLS_OF_THE_DATAPLANE = ["recvmsg", "sendmsg"]
REFUSALS = [("sendto", "EBUSY"), ("bind", "ENOBUFS"), ("socket", "ENFILE"), ("memfd_create", "ENOMEM")]


def device_of(request, kind):
    device = request.getfixturevalue(kind)(queue_pairs=FEW).start()
    device.peers.transmit_on(FEW)  # in both states their queues have a counterpart
    return device


def channels(device, netdev):
    """min(rx, tx) of `ethtool -l`, as it is now."""
    text = device.dut.run("ethtool", "-l", netdev).stdout.split("Current hardware settings:")[1]
    numbers = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
    return min(int(numbers["RX"].strip()), int(numbers["TX"].strip()))


def check_state(device, programs, old, new):
    """One of the two, everywhere the same, and working. Returns which."""
    status = device.agent.settled()
    port = status["ports"][0]
    now = port["queue_pairs"]["current"]
    assert now in (old, new), status
    for port in status["ports"]:
        assert (port["queue_pairs"]["current"], port["queue_pairs"]["open"]) == (now, now), status
        assert len(port["queues"]) == now
        assert channels(device, port["netdev"]) == now
    lanes = sorted(lane for worker in status["workers"] for lane in worker.get("lanes", []))
    assert lanes == list(range(now)), status["workers"]
    for netdev in device.netdevs:
        assert "prog" in device.dut.json("ip", "-j", "-d", "link", "show", netdev)[0].get("xdp", {}), netdev
    report = flowgen.run(programs, **device.traffic(), flows=32, rate=0, window=60, count=1000, settle=0.3)
    assert report["exact"], flowgen.words(report)
    device.agent.settled()
    return now, status.get("last_resize")


def check_report(now, last, old, new, before):
    """What status says of the resize, if it had begun at all; otherwise it is still the report from before it."""
    if last == before or last is None:
        return
    assert (last["from"], last["to"]) == (old, new), last
    assert last["result"] == ("done" if now == new else "rolled back"), last


def make(device, pairs):
    answer = device.agent.ask("queues", "set", pairs)
    assert device.agent.port("wan")["queue_pairs"]["current"] == pairs, answer
    again = device.agent.ask("queues", "set", pairs)
    assert again["method"] == "none", again


def agent_is_gone(device):
    """It answers, or the signal has reached it: one that waits for it never comes to answer."""
    return device.agent.ctl("status", check=False).returncode == UNREACHABLE


def interrupted_at_each_call(device, programs, old, new, calls, interrupt, recover, gone=Fault.struck):
    """`interrupt(call, number)` gives the Fault; `gone` tells whether it was reached, and `recover()` brings back
    what it ended. The states it led to."""
    make(device, old)
    reached = []
    for call in calls:
        number = 0
        while True:
            number += 1
            before = device.agent.status().get("last_resize")
            with interrupt(call, number) as fault:
                device.agent.ctl("queues", "set", new, check=False)
            struck = gone(fault)
            if struck:
                recover()
            now, last = check_state(device, programs, old, new)
            if not struck:
                assert now == new
                break
            check_report(now, last, old, new, before)
            reached.append((call, number, now))
            make(device, old)
        make(device, old)
    return reached


DIRECTIONS = [(FEW, MANY), (MANY, FEW)]


@pytest.mark.parametrize("old, new", DIRECTIONS, ids=["grow", "shrink"])
def test_agent_killed_at_each_call(request, world, programs, old, new):
    """Of two ports, so also between one port's `ethtool -L` and the other's."""
    device = device_of(request, "wire")
    dataplane = device.agent.dataplane_pid()

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, KILL)

    def recover():
        device.agent.process.wait()
        device.agent.start()
        assert device.agent.dataplane_pid() == dataplane, "it carried on"

    reached = interrupted_at_each_call(device, programs, old, new, CALLS_OF_THE_AGENT, interrupt, recover,
                                       gone=lambda fault: agent_is_gone(device))
    assert {now for _, _, now in reached} == {old, new}, reached


@pytest.mark.parametrize("old, new", DIRECTIONS, ids=["grow", "shrink"])
@pytest.mark.parametrize("kind", ["reflector", "wire"])
def test_dataplane_killed_at_each_call(request, world, programs, kind, old, new):
    device = device_of(request, kind)
    pids = [device.agent.dataplane_pid()]

    def interrupt(call, number):
        if device.agent.status()["dataplane"]["restarts"] >= FORGIVEN:
            device.agent.stop()
            device.agent.start()
            make(device, old)
            pids.append(device.agent.dataplane_pid())
        return Fault(world, pids[-1], call, number, KILL)

    def recover():
        def another_one_runs():
            dataplane = device.agent.status()["dataplane"]
            return dataplane["state"] == "running" and dataplane["pid"] != pids[-1]

        wait_until(another_one_runs, "a new dataplane")
        pids.append(device.agent.dataplane_pid())

    reached = interrupted_at_each_call(device, programs, old, new, CALLS_OF_THE_DATAPLANE, interrupt, recover)
    assert len(reached) > 2, reached


@pytest.mark.parametrize("old, new", DIRECTIONS, ids=["grow", "shrink"])
@pytest.mark.parametrize("call, errno", REFUSALS, ids=[call for call, _ in REFUSALS])
def test_kernel_refuses_each_call(request, world, programs, call, errno, old, new):
    device = device_of(request, "wire")

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, refusal(errno))

    interrupted_at_each_call(device, programs, old, new, [call], interrupt, lambda: None)


@pytest.mark.parametrize("old, new", DIRECTIONS, ids=["grow", "shrink"])
def test_kernel_is_put_back_after_an_interrupted_resize(wire, world, old, new):
    """By the agent that took over, to what the one that died had found: another number of queue pairs than either."""
    device = wire(queue_pairs=old)
    device.peers.transmit_on(FEW)
    device.dut.run("ethtool", "-L", "wan0", "rx", FOUND, "tx", FOUND)
    before = snapshot.take(device.dut, world.pin_root)
    number = 0
    while True:
        number += 1
        device.start()
        struck = killed_at(device, world, number, old, new)
        device.agent.stop()
        changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
        assert not changed, (number, "\n".join(changed))
        if not struck:
            break
    assert number > 3


def killed_at(device, world, number, old, new):
    """The agent dies at that call to the dataplane, and another follows it. False: there is no such call."""
    make(device, old)
    with Fault(world, device.agent.process.pid, "sendmsg", number, KILL):
        device.agent.ctl("queues", "set", new, check=False)
    if not agent_is_gone(device):
        return False
    device.agent.process.wait()
    device.agent.start()
    return True


@pytest.mark.parametrize("kind", ["reflector", "wire"])
def test_traffic_goes_on_while_agents_die(request, world, programs, kind):
    """At each call to the dataplane, both ways. What is lost is lost by veth, and counted by it to the packet."""
    device = device_of(request, kind)
    deaths = 0
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=1000, window=60, settle=1) as traffic:
        for old, new in DIRECTIONS:
            number = 1
            while killed_at(device, world, number, old, new):
                deaths += 1
                number += 1
        report = traffic.stop()
    assert deaths > 6
    lost, _, duplicated, corrupted = flowgen.counts(report)
    assert (lost, duplicated, corrupted) == (device.lost_by_veth(report["total"]["sent"]), 0, 0), report
    assert device.agent.settled()["balance"]["dropped"] == 0


def test_dataplane_that_hangs_in_the_middle(reflector, programs):
    """It is ended when it has not answered for long enough, and the resize is undone."""
    device = reflector(queue_pairs=MANY).start()
    device.peers.transmit_on(FEW)
    hung = device.agent.dataplane_pid()
    os.kill(hung, signal.SIGSTOP)
    assert "dataplane" in device.agent.refuse("queues", "set", FEW)
    wait_until(lambda: device.agent.status()["dataplane"]["state"] == "running", "a new dataplane")
    assert device.agent.dataplane_pid() != hung
    now, last = check_state(device, programs, MANY, FEW)
    assert (now, last["result"]) == (MANY, "rolled back"), last


def test_both_killed_in_the_middle(request, world, programs):
    """At each call to the dataplane, and then the dataplane as well: nobody is left who knows, but the file."""
    device = device_of(request, "wire")

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, KILL)

    def recover():
        device.agent.process.wait()
        for pid in device.dut.pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not device.dut.pids(), "no process left")
        device.agent.start()

    interrupted_at_each_call(device, programs, MANY, FEW, ["sendmsg"], interrupt, recover,
                             gone=lambda fault: agent_is_gone(device))
