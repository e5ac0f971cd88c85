"""An agent that is killed at each step of coming up and of going down. Nothing of it stays: neither when an agent with
the same configuration comes up next and is stopped, nor when one of another device does.

A step is a system call that changes something. A first run tells their numbers (strace); then an agent is killed as it
enters one of them (tests/lib/fault.py), and so on over all kinds of steps. Timing has no influence.
"""

import os
import re
import signal

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import Agent, config
from tests.lib.command import wait_until
from tests.lib.fault import KILL, Fault

pytestmark = pytest.mark.long

CALLS = ["sendto", "sendmsg", "bpf", "rename", "mkdir", "unlink", "rmdir", "clone"]
# Calls of these kinds that change nothing that outlives the agent.
HARMLESS = re.compile(r"RTM_GET|nlctrl|ethtool, .*\\x(?:01|09|0b|11|1e)\\x01\\x00|BPF_(?!OBJ_PIN|LINK_CREATE)|"
                      r"= -1 E|slu\w+\.sock")
STATE = "agent-state.json"
PAIRS, FOUND = 2, 3


def strace(log, *options):
    """Returns the command that runs a program in strace and stays its process: signals reach the program."""
    return ("strace", "-D", "-o", log, "-e", f"trace={','.join(CALLS)}", *options)


def steps_in(lines):
    """Returns (call, its number among those of its kind) of each line of a trace that is a step."""
    numbers, steps = dict.fromkeys(CALLS, 0), []
    for line in lines:
        call = line.split("(")[0]
        if call in numbers:
            numbers[call] += 1
            if not HARMLESS.search(line):
                steps.append((call, numbers[call]))
    return steps


def sample(steps, most):
    """Returns the first and the last step, and others between them, evenly."""
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)] if len(steps) > most else steps


class Bench:
    """Two ports, as no agent would leave them: other channels, a link that is down. And a third device."""

    def __init__(self, world, programs, wire):
        self.world, self.programs = world, programs
        self.device = wire(queue_pairs=PAIRS)
        self.dut, self.agent = self.device.dut, self.device.agent
        world.veth(self.device.right, "c0", self.dut, "dmz0")
        self.device.peers.transmit_on(PAIRS)
        self.dut.run("ethtool", "-L", "wan0", "rx", FOUND, "tx", FOUND)
        self.dut.run("ip", "link", "set", "lan0", "down")
        self.text = self.agent.config.read_text()
        self.other_text = config({"dmz": "dmz0"}, "reflect")
        self.found = snapshot.take(self.dut, world.pin_root)

    def trace(self):
        """Returns the steps of coming up and of going down."""
        log = self.world.folder / "trace"
        self.agent.start(wrapper=strace(log))
        lines = log.read_text().splitlines()
        # The last step writes that it is up: an agent that is killed behind it leaves a dataplane that works.
        end = max(number for number, line in enumerate(lines) if line.startswith("rename(") and STATE in line) + 1
        ready = len(lines)
        self.agent.stop()
        return steps_in(lines[:end]), steps_in(log.read_text().splitlines()[ready:])

    def kill_coming_up(self, call, number):
        self.agent.launch(wrapper=strace(self.world.folder / "log", "-e", f"inject={call}:{KILL}:when={number}"))
        wait_until(lambda: not self.agent.process.running() or self.serves(), "a killed agent")
        if self.agent.process.running():  # it made fewer such calls than in the first run
            self.agent.process.stop()
            return False
        return True

    def serves(self):
        return self.agent.ctl("status", check=False).returncode == 0

    def kill_going_down(self, call, number):
        self.agent.start()
        with Fault(self.world, self.agent.process.pid, call, number, KILL):
            self.agent.process.signal(signal.SIGTERM)
            self.agent.process.wait()

    def left(self, only=""):
        changed = snapshot.differences(self.found, snapshot.take(self.dut, self.world.pin_root))
        return [text for text in changed if text.startswith(only)]

    def follow(self, step, same):
        """Starts an agent of the same configuration, or of another device; checks it, and what stays at its end."""
        self.agent.config.write_text(self.text if same else self.other_text)
        self.agent.start()
        if same:
            report = flowgen.run(self.programs, **self.device.traffic(), flows=8, rate=0, window=30, count=200,
                                 settle=0.1)
            assert report["exact"], (step, flowgen.words(report))
            assert self.agent.port("wan")["queue_pairs"]["current"] == PAIRS, step
        else:
            assert not self.left("wan0") + self.left("lan0"), (step, self.left("wan0"), self.left("lan0"))
            links = [link["ifname"] for link in self.dut.json("ip", "-j", "link")]
            assert len([name for name in links if name.startswith("slu")]) == 2, (step, links)
        self.agent.stop()
        self.agent.config.write_text(self.text)
        assert not self.left(), (step, "\n".join(self.left()))
        assert not self.dut.pids(), step
        files = sorted(name for name in os.listdir(self.world.folder) if name.startswith("agent"))
        assert files == ["agent-state", "agent.toml"], (step, files)


@pytest.fixture
def bench(world, programs, wire):
    return Bench(world, programs, wire)


def test_killed_at_each_step_of_coming_up(bench):
    up, _ = bench.trace()
    bench.follow("a run that nobody interrupted", same=True)
    print(len(up), "steps")
    killed = 0
    for number, step in enumerate(sample(up, 18)):
        died = bench.kill_coming_up(*step)
        killed += died
        bench.follow(step, same=number % 2 == 0 or not died)
    assert killed > 14, killed


def test_killed_at_each_step_of_going_down(bench):
    _, down = bench.trace()
    print(len(down), "steps")
    for number, step in enumerate(sample(down, 12)):
        bench.kill_going_down(*step)
        bench.follow(step, same=number % 2 == 0)
