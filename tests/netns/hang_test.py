"""A dataplane that lives and does not work: stopped as a whole, or in one thread. The agent kills and replaces it, and
a request that is under way ends soon. Pauses are no hangs."""

import contextlib
import os
import signal
import socket
import time

import pytest

from tests.lib import flowgen, prometheus, snapshot
from tests.lib.agent import DATAPLANE_UID, REFUSED
from tests.lib.command import CommandFailed, wait_until
from tests.lib.fault import StoppedThread, threads

# Of the packaged unit (deploy/package/sluice-agent.service.in).
WATCHDOG_SEC = 60

# A request once waited for 20 s. Here: the bound of 1 s, the restart, and what a starved machine adds.
SOON = 15


def send_some(device, programs):
    return flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=5000, settle=0.5)


def stop_all(pid):
    os.kill(pid, signal.SIGSTOP)


def replaced(device, old_pid, why):
    """Waits for another dataplane; returns the status."""
    def another_one_runs():
        status = device.agent.status()
        return status if status["dataplane"]["state"] == "running" and status["dataplane"]["pid"] != old_pid else None

    status = wait_until(another_one_runs, "a new dataplane")
    assert why in status["dataplane"]["why_lost"], status["dataplane"]
    assert status["dataplane"]["hangs"] == status["dataplane"]["restarts"]
    assert not os.path.exists(f"/proc/{old_pid}/exe"), "the old one lives"
    return status


def works(device, programs):
    report = send_some(device, programs)
    assert report["exact"], flowgen.words(report)
    device.agent.settled()


@pytest.mark.parametrize("policy", ["pass", "drop", "hold"])
def test_a_stopped_dataplane_is_replaced(reflector, programs, policy):
    device = reflector(queue_pairs=2, on_dataplane_down=policy).start()
    works(device, programs)
    pid = device.agent.dataplane_pid()
    stop_all(pid)
    replaced(device, pid, "stopped by a signal")
    works(device, programs)
    device.agent.stop()


def test_a_hang_is_said_to_whoever_asks_whether_it_is_ready(reflector, world, programs):
    """The dataplane is started by the test, so the next one does not come before it was seen that there is none."""
    device = reflector()

    def dataplane():
        world.start(*device.dut.enter(
            "setpriv", f"--reuid={DATAPLANE_UID}", f"--regid={DATAPLANE_UID}", "--clear-groups", programs.dataplane,
            "--socket", device.agent.socket.with_name(device.agent.socket.stem + "-dataplane.sock")))

    def ready():
        try:
            return prometheus.fetch(device.dut, "http://127.0.0.1:9477/readyz")
        except CommandFailed as failed:
            assert "503" in str(failed), failed
            return None

    device.agent.launch("--external-dataplane")
    dataplane()
    wait_until(device.agent._ready, "sluice-agent serving")
    wait_until(lambda: ready() == "ok\n", "ready")
    stop_all(device.agent.dataplane_pid())
    wait_until(lambda: ready() is None, "not ready")
    assert ready() is None
    dataplane()
    wait_until(lambda: ready() == "ok\n", "ready")
    works(device, programs)


@pytest.mark.parametrize("name", ["worker-1", "sluice-dataplan"])
def test_a_dataplane_with_one_stopped_thread_is_replaced(reflector, programs, name):
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    with StoppedThread(threads(pid)[name]):
        status = replaced(device, pid, "stopped by a tracer")
        assert ("worker 1" if name == "worker-1" else "its control thread") in status["dataplane"]["why_lost"]
        works(device, programs)


def test_a_dataplane_hangs_again_and_again(reflector, programs):
    device = reflector(queue_pairs=2).start()
    for _ in range(3):
        pid = device.agent.dataplane_pid()
        stop_all(pid)
        replaced(device, pid, "stopped by a signal")
    works(device, programs)
    assert device.agent.status()["dataplane"]["hangs"] == 3


@pytest.mark.parametrize("verb, number", [("workers", 1), ("queues", 1), ("queues", 4)])
def test_a_resize_that_meets_a_hang_is_rolled_back(reflector, programs, verb, number):
    device = reflector(queue_pairs=2).start()
    before = device.agent.status()
    pid = before["dataplane"]["pid"]
    stop_all(pid)
    began = time.monotonic()
    error = device.agent.refuse(verb, "set", number, code=REFUSED)
    assert time.monotonic() - began < SOON
    assert "killed" in error or "is down" in error, error
    assert "everything is as before" not in error
    after = replaced(device, pid, "stopped by a signal")
    assert [port["queue_pairs"] for port in after["ports"]] == [port["queue_pairs"] for port in before["ports"]]
    assert [(worker["core"], worker["lanes"]) for worker in after["workers"]] == [
        (worker["core"], worker["lanes"]) for worker in before["workers"]]
    works(device, programs)
    device.resize(4)
    works(device, programs)


def test_a_rule_that_meets_a_hang_is_in_force(reflector, programs):
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    stop_all(pid)
    device.agent.ctl("rules", "add", "drop", "proto=udp", timeout=SOON)
    for _ in range(2):
        report = flowgen.run(programs, **device.traffic(), flows=16, rate=4000, count=1000, settle=0.5)
        assert report["total"]["received"] == 0, flowgen.words(report)
        replaced(device, pid, "stopped by a signal")


def test_kills_in_a_row_are_each_repaired_at_once(reflector, programs):
    """More of them than were once repaired before the agent began to wait, for up to 6 s."""
    device = reflector(queue_pairs=2).start()
    took = []
    for _ in range(9):
        pid = device.agent.dataplane_pid()
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: device.agent.dataplane_pid() not in (0, pid)
                   and device.agent.status()["dataplane"]["state"] == "running", "a new dataplane", every=0.01)
        took.append(time.monotonic() - began)
        time.sleep(0.2)
    assert sum(took) < 9, took
    works(device, programs)


def test_pauses_are_no_hangs(reflector, programs):
    """The agent was stopped, or both were, as with a guest that its host does not run."""
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    agent = device.agent.process.pid
    for paused in [(agent,), (agent, pid)]:
        for one in paused:
            os.kill(one, signal.SIGSTOP)
        time.sleep(3)
        for one in paused:
            os.kill(one, signal.SIGCONT)
        works(device, programs)
    for _ in range(4):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.3)
        os.kill(pid, signal.SIGCONT)
        time.sleep(0.3)
    works(device, programs)
    assert device.agent.status()["dataplane"]["restarts"] == 0
    assert device.agent.dataplane_pid() == pid


def test_nothing_is_left_after_a_hang(reflector, world):
    device = reflector(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    pid = device.agent.dataplane_pid()
    stop_all(pid)
    replaced(device, pid, "stopped")
    stop_all(device.agent.dataplane_pid())
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("which", ["all", "worker-0", "sluice-dataplan"])
def test_a_new_agent_replaces_a_dataplane_that_does_not_greet(reflector, world, programs, which):
    """With a stopped worker it may greet; the agent finds the worker then."""
    device = reflector(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    pid = device.agent.dataplane_pid()
    device.agent.kill()
    with contextlib.ExitStack() as stack:
        if which == "all":
            stop_all(pid)
        else:
            stack.enter_context(StoppedThread(threads(pid)[which]))
        device.agent.start()
        wait_until(lambda: device.agent.dataplane_pid() not in (0, pid), "another dataplane")
        works(device, programs)
        assert not os.path.exists(f"/proc/{pid}/exe")
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


def test_systemd_hears_of_the_agent_while_it_works(reflector, world, monkeypatch):
    """Of its loop, and of a request that keeps it busy for long; not of an agent that is stopped."""
    address = world.folder / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(address))
        monkeypatch.setenv("NOTIFY_SOCKET", str(address))
        device = reflector().start()
        heard = []  # (time, message)

        def listen(seconds):
            """Returns the messages that come within this time."""
            before = len(heard)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                systemd.settimeout(left)
                try:
                    heard.append((time.monotonic(), systemd.recv(4096).decode()))
                except TimeoutError:
                    break
            return [message for _, message in heard[before:]]

        assert listen(4)[0] == "READY=1"
        assert [message for _, message in heard].count("WATCHDOG=1") > 1
        device.agent.process.signal(signal.SIGSTOP)
        listen(1)
        assert listen(3) == []
        device.agent.process.signal(signal.SIGCONT)
        wait_until(lambda: "WATCHDOG=1" in listen(1), "the agent goes on")

        prefixes = world.write("many", "".join(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}\n" for i in range(500_000)))
        answer = world.start(device.programs.ctl, "--socket", device.agent.socket, "blocklist", "replace", prefixes)
        before = len(heard)
        while answer.running():
            listen(1)
        assert answer.wait() == 0, answer.output()
        times = [at for at, message in heard[before - 1:] if message == "WATCHDOG=1"]
        assert max(later - at for at, later in zip(times, times[1:])) < WATCHDOG_SEC / 4
        device.agent.stop()
        assert "STOPPING=1" in listen(1)
