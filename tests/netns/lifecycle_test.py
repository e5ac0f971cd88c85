"""Starting, stopping, adopting, and running next to other agents and programs."""

import signal

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import UNREACHABLE, Agent, config
from tests.lib.command import run


def send_some(device, programs, **options):
    options = {"flows": 16, "rate": 0, "window": 60, "count": 5000, "settle": 0.3, **options}
    return flowgen.run(programs, **device.traffic(), **options)


@pytest.mark.parametrize("kind", ["reflector", "wire"])
@pytest.mark.parametrize("was_up", [True, False], ids=["up", "down"])
def test_sigterm_leaves_the_kernel_as_it_was_found(request, world, programs, kind, was_up):
    device = request.getfixturevalue(kind)(queue_pairs=2)
    if not was_up:
        device.dut.run("ip", "link", "set", "wan0", "down")
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    assert snapshot.differences(before, snapshot.take(device.dut, world.pin_root)), "a start must show in the snapshot"
    assert send_some(device, programs)["exact"]
    device.resize(1)
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)
    assert not device.dut.pids()
    assert device.agent.ctl("status", check=False).returncode == UNREACHABLE


def test_clsact_that_was_there_before_stays(reflector, world):
    device = reflector()
    device.dut.run("tc", "qdisc", "add", "dev", "wan0", "clsact")
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    device.agent.stop()
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))


def test_start_stop_start(reflector, programs):
    device = reflector(queue_pairs=2)
    for _ in range(3):
        device.start()
        assert send_some(device, programs)["exact"]
        device.agent.stop()


def test_leave_running(reflector, programs):
    device = reflector(queue_pairs=2).start("--leave-running")
    device.agent.stop()
    assert send_some(device, programs)["exact"]
    device.start()
    assert send_some(device, programs)["exact"]
    device.agent.settled()
    device.agent.stop()


def test_sigusr1_leaves_running(reflector, programs):
    """`systemctl restart` sends SIGUSR1: only the agent ends, and the next one takes over the dataplane."""
    device = reflector(queue_pairs=2).start()
    dataplane = device.agent.dataplane_pid()
    device.agent.process.signal(signal.SIGUSR1)
    assert device.agent.process.wait() == 0
    assert send_some(device, programs)["exact"]
    device.start()
    assert device.agent.dataplane_pid() == dataplane
    assert send_some(device, programs)["exact"]
    device.agent.stop()
    assert not device.dut.pids()


def test_adopts_what_xdp_loader_loaded(reflector, programs, world):
    device = reflector(queue_pairs=2)
    pins = device.agent.pin_root / "wan0"
    run("mkdir", "-p", pins)
    device.dut.run("xdp-loader", "load", "-m", "native", "-p", pins, "wan0", programs.bpf / "sluice_steer.bpf.o")
    program = device.dut.json("ip", "-j", "-d", "link", "show", "wan0")[0]["xdp"]["prog"]["id"]
    before = snapshot.take(device.dut, world.pin_root)

    device.start()
    assert device.agent.port("wan")["xdp"]["attached_by"] == "xdp-loader"
    assert device.dut.json("ip", "-j", "-d", "link", "show", "wan0")[0]["xdp"]["prog"]["id"] == program
    assert send_some(device, programs)["exact"]
    device.resize(1)
    assert send_some(device, programs)["exact"]
    device.agent.settled()

    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


def test_loaded_but_inactive_program_passes_everything(reflector, programs):
    """An operator who runs `xdp-loader load` over ssh keeps the session."""
    device = reflector()
    pins = device.agent.pin_root / "wan0"
    run("mkdir", "-p", pins)
    device.gen.run("ip", "addr", "add", "192.0.2.1/24", "dev", "a0")
    device.dut.run("ip", "addr", "add", "192.0.2.2/24", "dev", "wan0")
    device.dut.run("xdp-loader", "load", "-m", "native", "-p", pins, "wan0", programs.bpf / "sluice_steer.bpf.o")
    device.gen.run("ping", "-c", 3, "-i", 0.1, "-w", 90, "192.0.2.2")


def test_two_agents_side_by_side(world, programs):
    """Both have the same interface name in two namespaces; their sockets and bpffs folders keep them apart."""
    sides = []
    for name in ("one", "two"):
        gen, dut = world.netns(f"gen-{name}"), world.netns(name)
        world.veth(gen, "a0", dut, "wan0")
        agent = Agent(world, programs, dut, config({"wan": "wan0"}, "reflect"), name)
        sides.append((gen, dut, agent.start()))

    traffic = [flowgen.Background(programs, tx=(gen, "a0"), dst_mac=dut.mac("wan0"), rate=1000, window=60)
               for gen, dut, _ in sides]
    sides[0][2].stop()
    sides[0][2].start()
    second = traffic[1].stop()
    traffic[0].stop()
    assert second["exact"], second

    for gen, dut, agent in sides:
        report = flowgen.run(programs, tx=(gen, "a0"), dst_mac=dut.mac("wan0"), rate=1000, count=500, window=60)
        assert report["exact"], flowgen.words(report)
        agent.settled()


def test_second_agent_on_the_same_socket_is_refused(reflector, programs, world):
    device = reflector().start()
    second = Agent(world, programs, device.dut, device.agent.config.read_text())
    before = snapshot.take(device.dut, world.pin_root)
    said = second.refuses_to_start()
    assert str(second.socket) in said
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert send_some(device, programs)["exact"]
