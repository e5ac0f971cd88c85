"""Resizing during other events: overload, another resize, a peer whose link flaps, CPUs that go offline."""

import itertools
import os
import signal
import subprocess
import threading

import pytest

from tests.lib import flowgen, protojson
from tests.lib.command import PATIENCE, run, wait_until


def send_some(device, programs):
    return flowgen.run(programs, **device.traffic(), flows=32, rate=0, window=60, count=2000, settle=0.5)


def ask_in_background(device, *arguments):
    return subprocess.Popen([str(device.programs.ctl), "--socket", str(device.agent.socket),
                             *map(str, arguments), "-o", "json"],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer_of(process):
    """Waits for sluicectl in the background; returns its exit code and answer."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode in (0, 1), (process.returncode, out, err)
    return process.returncode, protojson.loads(out) if out.strip() else {}


def kernel_drops(status):
    return sum(count for port in status["ports"] for queue in [*port["queues"], port["bridge"]]
               for reason, count in queue.get("drops", {}).items() if reason.startswith("kernel_rx"))


@pytest.mark.parametrize("kind", ["reflector", "wire"])
def test_overload(request, programs, kind):
    """The generator sends as fast as it can, in an open loop."""
    device = request.getfixturevalue(kind)(queue_pairs=4).start()
    device.peers.transmit_on(1)
    with flowgen.Background(programs, **device.traffic(), flows=64, rate=0, settle=1) as traffic:
        for size in (1, 4, 2, 3, 1, 4):
            answer = device.agent.ask("queues", "set", size)
            assert answer["outcome"]["result"] == "done", answer
        report = traffic.stop()
    _, _, duplicated, corrupted = flowgen.counts(report)
    assert (duplicated, corrupted) == (0, 0), report
    balance = device.agent.settled()["balance"]
    assert balance["received"] == balance["transmitted"] + balance["dropped"], balance
    assert send_some(device, programs)["exact"]


@pytest.mark.parametrize("size", [1, 4])
def test_rings_that_are_full_when_it_begins(reflector, programs, size):
    """The dataplane is stopped until the kernel finds its rings full; then a resize begins."""
    device = reflector(queue_pairs=2).start()
    device.peers.transmit_on(1)
    dataplane = device.agent.dataplane_pid()
    os.kill(dataplane, signal.SIGSTOP)
    try:
        with flowgen.Background(programs, **device.traffic(), flows=64, rate=0, settle=0.1):
            wait_until(lambda: kernel_drops(device.agent.status()) > 0, "full rings")
        resize = ask_in_background(device, "queues", "set", size)
    finally:
        os.kill(dataplane, signal.SIGCONT)
    code, answer = answer_of(resize)
    assert (code, answer["outcome"]["result"]) == (0, "done"), answer
    status = device.agent.settled()
    assert status["dataplane"]["pid"] == dataplane
    assert kernel_drops(status) > 0, "the resize forgot the drops before it"
    assert send_some(device, programs)["exact"]


def test_requests_at_the_same_time_come_one_after_the_other(reflector, programs):
    """The agent is stopped until all have asked. It may take the requests in any order, but each resize must begin
    where the one before it ended."""
    device = reflector(queue_pairs=2).start()
    device.peers.transmit_on(1)
    sizes = [1, 4, 3, 1, 4, 2]
    device.agent.process.signal(signal.SIGSTOP)
    try:
        asked = [ask_in_background(device, "queues", "set", size) for size in sizes]
        listening = f"u_str LISTEN {len(asked)}"
        wait_until(lambda: listening in waiting(device), f"{len(asked)} waiting")
    finally:
        device.agent.process.signal(signal.SIGCONT)
    answers = [answer_of(process) for process in asked]
    assert [code for code, _ in answers] == [0] * len(sizes), answers
    moves = [(answer["outcome"]["from"], answer["outcome"]["to"]) for _, answer in answers
             if answer["method"] != "none"]
    assert [answer["outcome"]["result"] for _, answer in answers if answer["method"] != "none"] == ["done"] * len(moves)
    end = device.agent.port("wan")["queue_pairs"]["current"]
    assert any(chained(order, 2, end) for order in itertools.permutations(moves)), (moves, end)
    device.agent.settled()
    assert send_some(device, programs)["exact"]


def waiting(device):
    """Returns the lines of `ss` for the agent's socket, with the number of connections that wait."""
    lines = [line.split() for line in device.dut.run("ss", "-xln").stdout.splitlines()]
    return "\n".join(" ".join(line[:3]) for line in lines if str(device.agent.socket) in line)


def chained(moves, start, end):
    """Tells whether each move begins where the one before it ended."""
    for begin, to in moves:
        if begin != start:
            return False
        start = to
    return start == end


class Repeating(threading.Thread):
    """Repeats `turn` while the block runs, at least once; stops after a whole turn."""

    def __init__(self, turn):
        super().__init__()
        self.turn = turn
        self.turns = 0
        self.error = None
        self.leaving = threading.Event()

    def run(self):
        try:
            while not self.turns or not self.leaving.is_set():
                self.turn()
                self.turns += 1
        except Exception as error:  # the test's thread raises it
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        self.leaving.set()
        self.join()
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("kind", ["reflector", "wire"])
def test_peer_whose_link_flaps(request, programs, kind):
    device = request.getfixturevalue(kind)(queue_pairs=2).start()
    device.peers.transmit_on(1)
    netns, netdev = device.peers.ends[0]

    def flap():
        netns.run("ip", "link", "set", netdev, "down")
        netns.run("ip", "link", "set", netdev, "up")

    with Repeating(flap):
        for size in (4, 1, 3, 2):
            answer = device.agent.ask("queues", "set", size)
            assert answer["outcome"]["result"] == "done", answer
            assert device.agent.port("wan")["queue_pairs"]["current"] == size
    wait_until(lambda: netns.json("ip", "-j", "link", "show", netdev)[0]["operstate"] == "UP", "the link")
    device.agent.settled()
    assert send_some(device, programs)["exact"]


def test_resize_while_the_peer_is_down(reflector, programs):
    """Nothing can be sent meanwhile; packets that were on the way when the link went down are in the balance."""
    device = reflector(queue_pairs=4).start()
    device.peers.transmit_on(1)
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=2000, settle=0.5) as traffic:
        traffic.begun()
        device.gen.run("ip", "link", "set", "a0", "down")
        for size in (1, 4):
            assert device.agent.ask("queues", "set", size)["outcome"]["result"] == "done"
        device.gen.run("ip", "link", "set", "a0", "up")
    device.agent.settled()
    assert send_some(device, programs)["exact"]


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one CPU: none can go offline")
def test_cpus_go_and_come_while_it_is_resized(reflector, programs):
    """CPUs that the dataplane may use; tests/vm/device_test.py takes CPUs of a guest offline."""
    device = reflector(queue_pairs=2).start()
    device.peers.transmit_on(1)
    pid = device.agent.dataplane_pid()

    def allow(last):
        run("taskset", "--pid", "--cpu-list", f"0-{last}", pid)

    def toggle():
        for last in (0, 1):
            allow(last)

    with Repeating(toggle):
        for size in (4, 1, 3, 2):
            answer = device.agent.ask("queues", "set", size)
            assert answer["outcome"]["result"] in ("done", "rolled back"), answer
    for last, cores in ((0, [0]), (1, [0, 1])):
        allow(last)
        wait_until(lambda: [worker["core"] for worker in device.agent.status()["workers"]] == cores, f"{cores}")
        status = device.agent.settled()
        pairs = status["ports"][0]["queue_pairs"]["current"]
        lanes = sorted(lane for worker in status["workers"] for lane in worker.get("lanes", []))
        assert lanes == list(range(pairs))
        assert send_some(device, programs)["exact"]
