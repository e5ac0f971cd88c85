"""A resize that is interrupted at each of its calls: to the dataplane, to the kernel, in either daemon. Afterwards the
state is the old one or the new one, status says which, traffic is exact, and the balance holds.

It is interrupted at call 1, 2, … of a kind (tests/lib/fault.py), until a resize makes fewer calls. So every step is
covered, and the tests do not depend on the names of steps.
"""

import os
import signal

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import UNREACHABLE
from tests.lib.command import wait_until
from tests.lib.fault import KILL, Fault, refusal

pytestmark = pytest.mark.long

FEW, MANY = 2, 4
FOUND = 3
# The agent restarts this number of dead dataplanes at once, and later ones after a pause (dataplane_supervisor.h).
# A new agent starts counting at 0.
FORGIVEN = 10
# sendmsg: requests to the dataplane. sendto: netlink (XDP, channels). bind: a lane's socket to its queue.
CALLS_OF_THE_AGENT = ["sendmsg", "sendto", "bind"]
# recvmsg: a request is read. sendmsg: it is done, and is answered.
CALLS_OF_THE_DATAPLANE = ["recvmsg", "sendmsg"]
REFUSALS = [("sendto", "EBUSY"), ("bind", "ENOBUFS"), ("socket", "ENFILE"), ("memfd_create", "ENOMEM")]


def device_of(request, kind):
    device = request.getfixturevalue(kind)(queue_pairs=FEW).start()
    device.peers.transmit_on(FEW)  # the device has these queues in both states
    return device


def channels(device, netdev):
    """Returns min(rx, tx) of the current settings of `ethtool -l`."""
    text = device.dut.run("ethtool", "-l", netdev).stdout.split("Current hardware settings:")[1]
    numbers = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
    return min(int(numbers["RX"].strip()), int(numbers["TX"].strip()))


def check_state(device, programs, old, new):
    """Checks that one of the two states is everywhere in force, and works; returns it, and last_resize."""
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
    """Checks last_resize. If the resize had not begun, status still has the report of the one before it."""
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
    """Tells whether the agent is dead, by a request: a living agent answers it, and a dying one does not."""
    return device.agent.ctl("status", check=False).returncode == UNREACHABLE


def interrupted_at_each_call(device, programs, old, new, calls, interrupt, recover, gone=Fault.struck):
    """Interrupts a resize at each call; returns (call, number, state afterwards) of each interruption.

    `interrupt(call, number)` makes the Fault, `gone` tells whether it struck, and `recover()` restarts the program.
    """
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
    """There are two ports, so the agent also dies between one port's `ethtool -L` and the other's."""
    device = device_of(request, "wire")
    dataplane = device.agent.dataplane_pid()

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, KILL)

    def recover():
        device.agent.process.wait()
        device.agent.start()
        assert device.agent.dataplane_pid() == dataplane, "the dataplane did not live on"

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


# A shrink makes no memory.
REFUSED = [(call, errno, old, new) for call, errno in REFUSALS for old, new in DIRECTIONS
           if new > old or call != "memfd_create"]


@pytest.mark.parametrize("call, errno, old, new", REFUSED, ids=[f"{call}-{new}" for call, _, _, new in REFUSED])
def test_kernel_refuses_each_call(request, world, programs, call, errno, old, new):
    device = device_of(request, "wire")

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, refusal(errno))

    assert interrupted_at_each_call(device, programs, old, new, [call], interrupt, lambda: None), "it has no such call"


@pytest.mark.parametrize("old, new", DIRECTIONS, ids=["grow", "shrink"])
def test_kernel_is_put_back_after_an_interrupted_resize(wire, world, old, new):
    """The agent that took over restores the state that the dead one had found: a third number of queue pairs."""
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
    """Kills the agent at that call to the dataplane and starts another one. Returns False if there is no such call."""
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
    """Agents die at each call to the dataplane, in both directions. Every lost packet is one that veth lost."""
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
    """The agent ends a dataplane that does not answer in time, and undoes the resize."""
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
    """The agent dies at each call to the dataplane, and then the dataplane dies too: only the state file is left."""
    device = device_of(request, "wire")

    def interrupt(call, number):
        return Fault(world, device.agent.process.pid, call, number, KILL)

    def recover():
        device.agent.process.wait()
        for pid in device.dut.pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not device.dut.pids(), "no process left")
        device.agent.start()

    reached = interrupted_at_each_call(device, programs, MANY, FEW, ["sendmsg"], interrupt, recover,
                                       gone=lambda fault: agent_is_gone(device))
    assert len(reached) > 2, reached
