"""A second agent on a device, a folder of maps or a socket that is the first one's. It is refused at once and told
whose it is; the first one loses no packet; and nothing is left of the second."""

import os
import time

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import Agent, config
from tests.lib.command import run


def refused(agent):
    begin = time.monotonic()
    said = agent.refuses_to_start()
    print(f"refused after {time.monotonic() - begin:.2f} s: {said.strip().splitlines()[-1]}")
    return said


def test_the_same_device(reflector, world, programs):
    device = reflector(queue_pairs=2).start()
    device.dut.run("ip", "link", "property", "add", "dev", "wan0", "altname", "uplink0")
    before = snapshot.take(device.dut, world.pin_root)
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=2000, window=60) as traffic:
        for number, netdev in enumerate(["wan0", "uplink0"]):
            second = Agent(world, programs, device.dut, config({"other": netdev}, "reflect"), f"second{number}")
            said = refused(second)
            assert netdev in said and f"pid {device.agent.process.pid}" in said and str(device.agent.socket) in said
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not [name for name in os.listdir(world.folder) if name.startswith("second") and "sock" in name]
    device.agent.settled()


def test_one_device_of_two(wire, world, programs):
    """The second one's other port is free, and stays as it is."""
    device = wire()
    first = Agent(world, programs, device.dut, config({"wan": "wan0"}, "reflect"), "first").start()
    before = snapshot.take(device.dut, world.pin_root)
    mac = device.dut.mac("wan0")
    with flowgen.Background(programs, tx=(device.left, "a0"), dst_mac=mac, rate=2000, window=60) as traffic:
        device.agent.config.write_text(config({"lan": "lan0", "wan": "wan0"}, "forward"))
        assert f"pid {first.process.pid}" in refused(device.agent)
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    first.stop()
    device.agent.start()  # both are free now


def test_a_device_is_free_when_its_agent_is_killed(reflector, world, programs):
    device = reflector(queue_pairs=2).start()
    for pid in (device.agent.process.pid, device.agent.dataplane_pid()):
        os.kill(pid, 9)
    device.agent.process.wait()
    second = Agent(world, programs, device.dut, device.agent.config.read_text(), "second")
    second.pin_root = device.agent.pin_root
    second.start()
    assert flowgen.run(programs, **device.traffic(), rate=0, window=60, count=1000, settle=0.3)["exact"]


def test_the_same_folder_of_maps_in_two_namespaces(reflector, world, programs):
    first = reflector().start()
    second = reflector(on_dataplane_down="drop")
    second.agent = Agent(world, programs, second.dut, second.agent.config.read_text(), "second")
    second.agent.pin_root = first.agent.pin_root
    before = snapshot.take(first.dut, world.pin_root)
    with flowgen.Background(programs, **first.traffic(), rate=2000, window=60) as traffic:
        traffic.begun()
        said = refused(second.agent)
        assert "--pin-root" in said and f"pid {first.agent.process.pid}" in said and str(first.agent.socket) in said
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    assert not snapshot.differences(before, snapshot.take(first.dut, world.pin_root))


@pytest.mark.parametrize("name", ["first.sock", "first.socket", "first"])
def test_the_same_socket(reflector, world, programs, name):
    """Also one whose state file and dataplane's socket would be the first one's."""
    device = reflector()
    device.agent = Agent(world, programs, device.dut, device.agent.config.read_text(), "first").start()
    other = world.netns("other")
    world.veth(other, "a0", other, "b0")
    second = Agent(world, programs, other, config({"other": "b0"}, "reflect"), "second")
    second.socket = world.folder / name
    before = snapshot.take(device.dut, world.pin_root)
    with flowgen.Background(programs, **device.traffic(), rate=2000, window=60) as traffic:
        traffic.begun()
        said = refused(second)
        assert "--socket" in said and f"pid {device.agent.process.pid}" in said
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert device.agent.settled()["dataplane"]["state"] == "running"


def test_a_socket_that_is_no_socket_stays(reflector, world):
    device = reflector()
    device.agent.socket.write_text("precious")
    assert "is no socket" in refused(device.agent)
    assert device.agent.socket.read_text() == "precious"


@pytest.mark.parametrize("user, words", [
    ("no-such-user", "useradd --system"), ("nobody", "nobody"), ("root", "root"), ("0", "no rights")])
def test_the_dataplane_has_a_user_of_its_own(reflector, world, user, words):
    device = reflector()
    before = snapshot.take(device.dut, world.pin_root)
    device.agent.user = user
    assert words in refused(device.agent)
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not device.dut.pids()


def test_the_command_that_makes_the_user_works(reflector):
    """Run as it is said, in a copy of the machine's users."""
    device = reflector()
    device.agent.user = "sluice-nobody-else"
    command = refused(device.agent).split("make it: ")[1].strip()
    assert command.endswith(" sluice-nobody-else")
    root = device.world.folder / "root"
    run("mkdir", "-p", root / "etc")
    run("cp", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/login.defs", root / "etc")
    run(*command.replace("useradd ", f"useradd --prefix {root} ").split())
    made = [line for line in (root / "etc/passwd").read_text().splitlines() if line.startswith("sluice-nobody-else:")]
    assert made and made[0].endswith(":/nonexistent:/usr/sbin/nologin"), made
