"""Changes behind the agent's back: it repairs what it can, and says what it cannot."""

import pathlib

import pytest

from tests.lib import flowgen, prometheus, snapshot
from tests.lib.agent import Agent, config
from tests.lib.command import CommandFailed, run, wait_until

FLOWS = 16
# Commands in the function's namespace that take away a part of port wan. N and F are the ends of its bridge.
TAKEN_AWAY = {
    "xdp": ["ip link set dev wan0 xdp off"],
    "filter": ["tc filter del dev wan0 ingress"],
    "clsact": ["tc qdisc del dev wan0 clsact"],
    "xdp and clsact": ["ip link set dev wan0 xdp off", "tc qdisc del dev wan0 clsact"],
    "the bridge's near filter": ["tc filter del dev N ingress"],
    "the bridge's way in": ["tc filter del dev N egress"],
    "the bridge's pair": ["ip link del dev N"],
    "the bridge's far program": ["ip link set dev F xdp off"],
    "the bridge's near end": ["ip link set dev N down"],
    "the bridge's far end": ["ip link set dev F down"],
    "promiscuous mode": ["ip link set dev wan0 promisc off"],
}


def parts_of(device):
    """Returns the parts of port wan that the kernel has, by the bridge's names."""
    index = device.dut.json("ip", "-j", "link", "show", "dev", "wan0")[0]["ifindex"]
    parts = set()
    for link in device.dut.json("ip", "-j", "-d", "link"):
        name = {"wan0": "wan", f"slu{index}n": "near", f"slu{index}f": "far"}.get(link["ifname"])
        if name is None:
            continue
        if link.get("xdp", {}).get("prog"):
            parts.add(f"{name} xdp")
        if "UP" in link["flags"]:
            parts.add(f"{name} up")
        if link.get("promiscuity", 0) and "PROMISC" in link["flags"]:
            parts.add(f"{name} promiscuous")
        for hook in ("ingress", "egress"):
            if "sluice" in str(device.dut.json("tc", "-j", "filter", "show", "dev", link["ifname"], hook)):
                parts.add(f"{name} filter {hook}")
    return parts, f"slu{index}n", f"slu{index}f"


def exact(device, programs):
    report = flowgen.run(programs, **device.traffic(), flows=FLOWS, rate=0, window=60, count=500, settle=0.3)
    assert report["exact"], flowgen.words(report)


@pytest.mark.parametrize("part", TAKEN_AWAY)
def test_parts_that_somebody_takes_away_come_back(wire, programs, part):
    device = wire(queue_pairs=2).start()
    exact(device, programs)
    before, near, far = parts_of(device)
    assert before >= {"wan xdp", "wan filter ingress", "wan promiscuous", "near filter ingress", "near filter egress",
                      "far xdp"}, before
    for command in TAKEN_AWAY[part]:
        device.dut.run(*command.replace(" N", f" {near}").replace(" F", f" {far}").split())
    wait_until(lambda: parts_of(device)[0] == before, lambda: f"{before - parts_of(device)[0]} is missing")
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status().get("degraded")))
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
    device.agent.settled()


def channels(device):
    return device.dut.run("ethtool", "-l", "wan0").stdout.split("Current")[1]


@pytest.mark.parametrize("mode", ["skb", "copy"])
def test_a_number_of_queues_that_somebody_changes_is_as_before(reflector, programs, mode):
    """In skb mode the kernel allows it at any time, in copy mode while the program is off."""
    device = reflector(queue_pairs=2, dataplane={"mode": mode}).start()
    exact(device, programs)
    before = channels(device)
    change = "ethtool -L wan0 rx 4 tx 4"
    device.dut.run("sh", "-c", change if mode == "skb" else f"until ip link set dev wan0 xdp off; {change}; do :; done")
    repaired(device)
    assert channels(device) == before
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status().get("degraded")))
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
    device.agent.settled()


def test_queues_that_somebody_moves_to_other_cpus_come_back(reflector):
    device = reflector(queue_pairs=2).start()
    if len(device.agent.status()["workers"]) < 2:
        pytest.skip("with one core there is nothing to place")
    files = [f"/sys/class/net/wan0/queues/tx-{queue}/xps_cpus" for queue in (0, 1)]

    def cpus(script="cat {0} {1}"):
        return run(*device.dut.enter_with_sys("sh", "-c", script.format(*files))).stdout

    placed = cpus()
    cpus("read -r one <{0}; read -r other <{1}; echo $one >{1}; echo $other >{0}")
    repaired(device)
    wait_until(lambda: cpus() == placed, "the CPUs of before")
    device.agent.settled()


def ready(device):
    """Returns the body of /readyz; None when it is not 200."""
    try:
        return prometheus.fetch(device.dut, "http://127.0.0.1:9477/readyz")
    except CommandFailed as failed:
        assert "503" in str(failed), failed
        return None


def test_a_link_without_carrier_is_said_until_it_is_back(wire, programs):
    device = wire().start()
    wait_until(lambda: ready(device) == "ok\n", "ready")
    device.left.run("ip", "link", "set", "dev", "a0", "down")
    wait_until(lambda: ready(device) is None, "not ready")
    degraded, = device.agent.status()["degraded"]
    assert degraded.startswith("wan: wan0 has no carrier"), degraded
    assert "degraded: wan: wan0 has no carrier" in device.agent.ctl("status").stdout
    device.left.run("ip", "link", "set", "dev", "a0", "up")
    wait_until(lambda: ready(device) == "ok\n", "ready")
    exact(device, programs)


@pytest.mark.parametrize("command, words", [
    ("ip link set dev wan0 down", "wan0 is down"),
    ("ip link set dev wan0 mtu 3000", "the MTU of wan0 is 3000 now"),
])
def test_a_difference_that_the_agent_must_not_undo_is_said(wire, command, words):
    device = wire().start()
    wait_until(lambda: not device.agent.status().get("degraded"), "all well")
    device.dut.run(*command.split())
    said(device, words)


def said(device, words):
    """Waits until a difference with these words is in status."""
    wait_until(lambda: any(words in one for one in device.agent.status().get("degraded", [])),
               lambda: str(device.agent.status().get("degraded")))


def test_somebody_elses_program_stays_and_no_resize_begins(wire, programs):
    device = wire(queue_pairs=2).start()
    exact(device, programs)
    folder = device.world.pin_root / "foreign"
    run("mkdir", "-p", folder)
    foreign = next(pathlib.Path("/usr/lib").glob("*/bpf/xsk_def_xdp_prog.o"))  # of libxdp
    run("bpftool", "prog", "load", foreign, folder / "program", "type", "xdp")
    device.dut.run("bpftool", "net", "attach", "xdpdrv", "pinned", folder / "program", "dev", "wan0", "overwrite")
    said(device, "XDP program xsk_def_prog")
    assert "xsk_def_prog" in device.agent.refuse("queues", "set", 4)
    device.dut.run("ip", "link", "set", "dev", "wan0", "xdp", "off")
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status().get("degraded")))
    device.resize(4)
    exact(device, programs)


def make_again(device, netdev, peer, peer_netdev):
    """Makes a device again as the fixture made it, with the same name."""
    device.world.veth(peer, peer_netdev, device.dut, netdev, queues=4)
    device.peers.transmit_on(device.queue_pairs)


@pytest.mark.parametrize("kind", ["reflector", "wire"])
def test_a_device_that_is_made_anew_is_taken_back(request, world, programs, kind):
    device = request.getfixturevalue(kind)(queue_pairs=2)
    clean = snapshot.take(device.dut, world.pin_root)
    device.start()
    exact(device, programs)
    peer = device.gen if kind == "reflector" else device.left
    dataplane = device.agent.dataplane_pid()
    for _ in range(2):
        before, _, _ = parts_of(device)
        device.dut.run("ip", "link", "del", "wan0")
        said(device, "its device wan0 is gone")
        wait_until(lambda: ready(device) is None, "not ready")
        assert "is gone" in device.agent.refuse("queues", "set", 4)
        make_again(device, "wan0", peer, "a0")
        if kind == "reflector":
            device.mac = device.dut.mac("wan0")
        wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status()["degraded"]))
        assert parts_of(device)[0] == before
        exact(device, programs)
    assert device.agent.dataplane_pid() == dataplane, "no session is lost"
    device.resize(4)
    exact(device, programs)
    device.agent.settled()
    device.agent.kill()
    device.agent.start()
    exact(device, programs)
    device.agent.stop()
    links = {link["ifname"] for link in device.dut.json("ip", "-j", "link")}
    assert not [name for name in links if name.startswith("slu")], links
    after = snapshot.take(device.dut, world.pin_root)
    assert after["bpffs"] == clean["bpffs"] and sorted(after["qdiscs"]) == sorted(clean["qdiscs"])
    assert "xdp" not in after["links"] and "PROMISC" not in after["links"]


def test_a_device_that_is_made_anew_while_no_agent_runs_is_taken(wire, programs, world):
    device = wire(queue_pairs=2)
    clean = snapshot.take(device.dut, world.pin_root)
    device.start()
    dataplane = device.agent.dataplane_pid()
    device.agent.kill()
    device.dut.run("ip", "link", "del", "wan0")
    make_again(device, "wan0", device.left, "a0")
    device.agent.start()
    assert device.agent.dataplane_pid() == dataplane
    exact(device, programs)
    device.agent.stop()
    after = snapshot.take(device.dut, world.pin_root)
    assert after["bpffs"] == clean["bpffs"] and sorted(after["qdiscs"]) == sorted(clean["qdiscs"])


def rename(device, netdev, name):
    device.dut.run("ip", "link", "set", "dev", netdev, "down")
    device.dut.run("ip", "link", "set", "dev", netdev, "name", name)
    device.dut.run("ip", "link", "set", "dev", name, "up")
    wait_until(lambda: device.dut.json("ip", "-j", "link", "show", name)[0]["operstate"] == "UP", f"{name} up")


@pytest.mark.parametrize("agent_runs", [True, False], ids=["seen", "unseen"])
def test_a_device_that_is_renamed_goes_on(wire, programs, world, agent_runs):
    device = wire(queue_pairs=2)
    clean = snapshot.take(device.dut, world.pin_root)
    device.start()
    if not agent_runs:
        device.agent.kill()
    rename(device, "wan0", "other0")
    if not agent_runs:
        device.agent.start()
    wait_until(lambda: device.agent.port("wan")["netdev"] == "other0", "the new name")
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status()["degraded"]))
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
    device.agent.kill()
    device.agent.start()
    exact(device, programs)
    device.resize(1)
    exact(device, programs)
    device.agent.settled()
    device.resize(2)
    device.agent.stop()
    rename(device, "other0", "wan0")
    changed = snapshot.differences(clean, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


def test_a_new_mac_address_is_the_ports(reflector, programs):
    device = reflector().start()
    exact(device, programs)
    device.mac = "02:00:00:00:00:77"
    device.dut.run("ip", "link", "set", "dev", "wan0", "address", device.mac)

    def works():
        return flowgen.run(programs, **device.traffic(), flows=FLOWS, rate=0, window=60, count=100, settle=0.3)["exact"]

    wait_until(works, "packets for the new address come back")


# Changes after which `stop` must leave nothing behind. P is the folder of wan0's pins.
UNDONE = {
    "down": "ip link set dev wan0 down",
    "xdp off": "ip link set dev wan0 xdp off",
    "clsact gone": "tc qdisc del dev wan0 clsact",
    "not promiscuous": "ip link set dev wan0 promisc off",
    "no bridge": "ip link del N",
    "pins gone": "rm -r P",
    "one pin gone": "rm P/sluice_config",
    "device gone": "ip link del wan0",
}


@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "later"])
@pytest.mark.parametrize("change", UNDONE)
def test_stop_leaves_nothing_behind(wire, world, change, at_once):
    device = wire(queue_pairs=2)
    clean = snapshot.take(device.dut, world.pin_root)
    device.start()
    _, near, _ = parts_of(device)
    pins = device.agent.pin_root / "wan0"
    device.dut.run("sh", "-c", UNDONE[change].replace(" N", f" {near}").replace(" P", f" {pins}"))
    if not at_once:
        said(device, "wan0 is") if change in ("down", "device gone") else repaired(device)
    device.agent.stop()
    if change == "device gone":
        make_again(device, "wan0", device.left, "a0")
    elif change == "down":
        device.dut.run("ip", "link", "set", "dev", "wan0", "up")
        wait_until(lambda: device.dut.json("ip", "-j", "link", "show", "wan0")[0]["operstate"] == "UP", "wan0 up")
    after = snapshot.take(device.dut, world.pin_root)
    if change == "device gone":
        clean["links"] = after["links"] = ""  # it has another index, and so another place
        clean["qdiscs"], after["qdiscs"] = sorted(clean["qdiscs"]), sorted(after["qdiscs"])
    changed = snapshot.differences(clean, after)
    assert not changed, "\n".join(changed)


def repaired(device):
    """Waits until the agent has said that something is back."""
    wait_until(lambda: "it is back" in device.agent.process.output(), lambda: device.agent.process.output())


@pytest.mark.parametrize("what", ["pins", "bpffs"])
def test_pins_that_are_gone_come_back_and_an_agent_that_dies_is_followed(wire, programs, what):
    device = wire(queue_pairs=2).start()
    pins = device.agent.pin_root / "wan0"
    if what == "pins":
        run("rm", "-r", pins)
    else:
        # The agent has a separate mount namespace, in which it sees the machine's bpffs; and all of this may be in a
        # chroot (tests/debian13).
        agent = f"/proc/{device.agent.process.pid}"
        run("nsenter", f"--mount={agent}/ns/mnt", f"--root={agent}/root", "umount", "/sys/fs/bpf")
    repaired(device)
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status()["degraded"]))
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
    if what == "pins":
        device.agent.kill()
        device.agent.start()
        exact(device, programs)
    device.agent.settled()
    device.agent.stop()


def test_pins_that_go_while_no_agent_runs_come_back(wire, programs):
    device = wire(queue_pairs=2).start()
    dataplane = device.agent.dataplane_pid()
    device.agent.kill()
    run("rm", "-r", device.agent.pin_root / "wan0")
    device.agent.start()
    assert device.agent.dataplane_pid() == dataplane
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
    device.agent.settled()
    device.agent.stop()


def test_a_burst_of_changes_does_not_hold_up_the_agent(reflector, programs, world):
    device = reflector().start()
    device.dut.run("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
    batch = world.write("burst", "".join(f"link set dev d0 mtu {1280 + i % 100}\n" for i in range(10000)))
    burst = device.dut.start("ip", "-batch", batch)
    while burst.running():
        device.agent.status()
    device.dut.run("ip", "link", "set", "dev", "wan0", "xdp", "off")
    wait_until(lambda: "wan xdp" in parts_of(device)[0], "the program is back")
    exact(device, programs)


def test_a_larger_mtu_is_measured_by_the_frames_that_there_are(wire):
    """An agent that takes over sees the larger MTU from its start, and lanes whose frames are of before."""
    device = wire().start()
    device.agent.kill()
    for netns, name in ((device.dut, "wan0"), (device.left, "a0")):
        netns.run("ip", "link", "set", "dev", name, "mtu", 3000)
    device.agent.start()
    said(device, "the MTU of wan0 is 3000 now")


@pytest.mark.parametrize("how", ["made anew", "renamed"])
def test_a_device_is_the_agents_alone_also_with_another_index_or_name(reflector, world, programs, how):
    device = reflector(queue_pairs=2).start()
    netdev = "wan0"
    if how == "made anew":
        device.dut.run("ip", "link", "del", "wan0")
        said(device, "its device wan0 is gone")
        make_again(device, "wan0", device.gen, "a0")
        device.mac = device.dut.mac("wan0")
        wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status()["degraded"]))
    else:
        device.agent.kill()
        netdev = "other0"
        rename(device, "wan0", netdev)
        device.agent.start()
    second = Agent(world, programs, device.dut, config({"other": netdev}, "reflect", 2), "second")
    refused = second.refuses_to_start()
    assert f"another sluice-agent has {netdev}" in refused and f"pid {device.agent.process.pid}" in refused
    exact(device, programs)
    device.agent.stop()
    second.start()
