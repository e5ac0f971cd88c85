"""Clients of the control socket and of /metrics that say nothing, little, too much or nonsense, at the same time as
traffic, a resize and the death of a dataplane."""

import os
import pathlib
import signal

import pytest

from tests.lib import flowgen, prometheus
from tests.lib.agent import REFUSED
from tests.lib.command import run, wait_until
from tests.lib.strangers import Strangers

URL = "http://127.0.0.1:9477"
METRICS = "tcp:127.0.0.1:9477"
READERS, ADMINS, UID = 4100, 4101, 4001
STATUS_REQUEST = b"\0\0\0\2\x0a\0"
CLI_CONNECTIONS, HTTP_CONNECTIONS = 64, 32


@pytest.fixture
def groups(world):
    """The agent finds the groups `sluice` and `sluice-admin` in /etc/group."""
    known = pathlib.Path("/etc/group").read_text()
    world.write("group", known + f"sluice:x:{READERS}:\nsluice-admin:x:{ADMINS}:\n")


def descriptors(device):
    return len(os.listdir(f"/proc/{agent_pid(device)}/fd"))


def agent_pid(device):
    """nsenter, unshare and sh become the agent by exec."""
    return device.agent.process.pid


def resident_bytes(device):
    status = pathlib.Path(f"/proc/{agent_pid(device)}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def check_that_all_works(device, programs):
    """A resize under exact traffic, a dataplane that dies and comes back, and traffic that is exact again."""
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=1000, window=60) as traffic:
        device.resize(1)
        device.resize(2)
        report = traffic.stop()
    assert flowgen.counts(report)[0] == device.lost_by_veth(report["total"]["sent"]), flowgen.words(report)
    pid = device.agent.dataplane_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: device.agent.dataplane_pid() not in (0, pid), "another dataplane")
    wait_until(lambda: device.agent.status()["dataplane"]["state"] == "running", device.agent.status)
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=5000, settle=0.5)
    assert report["exact"], flowgen.words(report)
    assert device.agent.settled()["dataplane"]["restarts"] == 1


@pytest.mark.parametrize("gid", [UID, READERS], ids=["anybody", "readers"])
def test_control_socket(reflector, programs, world, groups, gid):
    device = reflector(queue_pairs=2, on_dataplane_down="hold").start()
    before = descriptors(device)
    target = f"unix:{device.agent.socket}"
    kinds = {"idle": 200, "drip": 20, "half": 20, "deaf": 20, "loop": 20}
    crowd = [Strangers(world, target, kind, count, text=STATUS_REQUEST, uid=UID + place, gid=gid)
             for place, (kind, count) in enumerate(kinds.items())]
    check_that_all_works(device, programs)
    assert descriptors(device) <= before + CLI_CONNECTIONS + 4
    for strangers in crowd:
        assert strangers.process.running(), strangers.process.output()
        strangers.stop()
    wait_until(lambda: descriptors(device) <= before, lambda: f"{descriptors(device)} descriptors, {before} before")
    device.agent.stop()


def test_rights_on_the_control_socket(reflector, programs, groups):
    device = reflector(queue_pairs=2).start()

    def ctl(gid, *arguments, code=0):
        done = run("setpriv", f"--reuid={UID}", f"--regid={gid}", "--clear-groups", programs.ctl, "--socket",
                   device.agent.socket, *arguments, check=False)
        assert done.returncode == code, done
        return done.stderr

    assert "group sluice:" in ctl(UID, "status", code=REFUSED)
    assert "group sluice:" in ctl(UID, "queues", "set", 1, code=REFUSED)
    ctl(READERS, "status")
    assert "group sluice-admin" in ctl(READERS, "queues", "set", 1, code=REFUSED)
    # A refusal comes although nobody read the request: a list that is larger than any buffer.
    large = device.world.write("large.txt", "192.0.2.1\n" * 300_000)
    assert "group sluice:" in ctl(UID, "blocklist", "replace", large, code=REFUSED)
    assert "group sluice-admin" in ctl(READERS, "blocklist", "replace", large, code=REFUSED)
    ctl(ADMINS, "blocklist", "replace", large)
    ctl(ADMINS, "workers", "set", 1)
    assert len(device.agent.status()["workers"]) == 1
    device.agent.stop()


def test_metrics(reflector, programs, world):
    """With few descriptors, as in a shell with a low limit."""
    device = reflector(queue_pairs=2, on_dataplane_down="hold")
    device.agent.start(wrapper=("prlimit", "--nofile=256:256"))
    before = descriptors(device)
    crowd = [Strangers(world, METRICS, "idle", 2000, device.dut),
             Strangers(world, METRICS, "drip", 20, device.dut),
             Strangers(world, METRICS, "deaf", 20, device.dut, text=b"GET /metrics HTTP/1.1\r\n\r\n"),
             Strangers(world, METRICS, "loop", 2, device.dut, text=b"GET /metrics HTTP/1.1\r\n\r\n")]
    check_that_all_works(device, programs)
    assert descriptors(device) <= before + HTTP_CONNECTIONS
    for strangers in crowd:
        assert strangers.process.running(), strangers.process.output()
        strangers.stop()
    assert prometheus.fetch(device.dut, f"{URL}/readyz") == "ok\n"
    wait_until(lambda: descriptors(device) <= before, lambda: f"{descriptors(device)} descriptors, {before} before")
    device.agent.stop()


def test_large_bodies_are_not_read(reflector, programs):
    device = reflector().start()
    prometheus.fetch(device.dut, f"{URL}/metrics")
    for options in (["--data-binary", "@-"], ["-T", "-"], ["-T", "-", "-H", "Expect:"]):
        done = device.dut.run("sh", "-c", "head -c 300000000 /dev/zero | curl -s -o /dev/null -w '%{http_code}' "
                              '"$@"', "sh", *options, f"{URL}/metrics", check=False)
        assert done.stdout == "405", done
    assert resident_bytes(device) < 200 << 20
    assert prometheus.fetch(device.dut, f"{URL}/healthz") == "ok\n"
    device.agent.stop()
