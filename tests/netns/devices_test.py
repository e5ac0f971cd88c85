"""Devices that can be ports and those that cannot, and names, addresses, rights and CPUs as users have them."""

import json
import os
import socket

import pytest

from tests.lib import flowgen, protojson, snapshot
from tests.lib.agent import Agent, config
from tests.lib.command import run, wait_until
from tests.lib.world import in_netns

ETH_P_ALL = 0x0003
# Devices made of wan0, and the word by which the agent refuses them. %s is the device that is to be the port.
UNFIT = {
    "bond": (["ip link add name %s type bond", "ip link set dev wan0 down", "ip link set dev wan0 master %s"],
             "it is a bond"),
    "bridge": (["ip link add name %s type bridge", "ip link set dev wan0 master %s"], "it is a bridge"),
    "vlan": (["ip link add link wan0 name %s type vlan id 100"], "it is a vlan"),
    "macvlan": (["ip link add link wan0 name %s type macvlan"], "it is a macvlan"),
    "ipvlan": (["ip link add link wan0 name %s type ipvlan"], "it is a ipvlan"),
    "dummy": (["ip link add name %s type dummy"], "no wire"),
    "tun": (["ip tuntap add name %s mode tun"], "no Ethernet frames"),
}


def exact(device, programs, **options):
    options = {"flows": 16, "rate": 0, "window": 60, "count": 500, "settle": 0.3, **options}
    report = flowgen.run(programs, **device.traffic(), **options)
    assert report["exact"], flowgen.words(report)


def refuses(device, netdev, words):
    """Starts an agent with this netdev, which must refuse with these words, and change nothing."""
    device.agent.config.write_text(config({"wan": netdev}, "reflect"))
    before = snapshot.take(device.dut, device.world.pin_root)
    said = device.agent.refuses_to_start()
    assert f"port {netdev}" in said and words in said, said
    doctor = device.dut.run(device.agent.programs.ctl, "doctor", "--config", device.agent.config, "-o", "json",
                            check=False)
    findings = protojson.loads(doctor.stdout)["findings"]
    assert any(words in finding["what"] and finding["severity"] == "SEVERITY_ERROR" for finding in findings), findings
    changed = snapshot.differences(before, snapshot.take(device.dut, device.world.pin_root))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("kind", UNFIT)
def test_a_device_without_queues_of_its_own_is_refused_with_the_reason(reflector, kind):
    device = reflector()
    commands, words = UNFIT[kind]
    for command in commands:
        done = device.dut.run(*(command % "up.100" if "%" in command else command).split(), check=False)
        if "Unknown device type" in done.stderr or "not supported" in done.stderr:
            pytest.skip(f"this kernel has no {kind} devices")
        assert done.returncode == 0, done
    refuses(device, "up.100", words)


def test_the_loopback_device_is_refused(reflector):
    refuses(reflector(), "lo", "loopback")


def test_a_member_of_a_bridge_is_refused_and_one_that_becomes_one_is_said(reflector):
    device = reflector()
    device.dut.run("ip", "link", "add", "name", "br0", "type", "bridge")
    device.dut.run("ip", "link", "set", "dev", "wan0", "master", "br0")
    refuses(device, "wan0", "it is a member of bridge br0")
    device.dut.run("ip", "link", "set", "dev", "wan0", "nomaster")
    device.start()
    device.dut.run("ip", "link", "set", "dev", "wan0", "master", "br0")
    said = "cannot be a port any more: it is a member of bridge br0"
    wait_until(lambda: any(said in one for one in device.agent.status().get("degraded", [])),
               lambda: str(device.agent.status()))
    device.agent.kill()
    device.agent.start()  # an agent that dies is followed by another one all the same
    device.dut.run("ip", "link", "set", "dev", "wan0", "nomaster")
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status()))


def test_a_device_that_is_not_there_is_said(reflector):
    device = reflector()
    device.agent.config.write_text(config({"wan": "nosuch0"}, "reflect"))
    assert "nosuch0: No such device; there is no such device in this network namespace" in (
        device.agent.refuses_to_start())


def test_a_device_of_one_queue_that_cannot_set_channels_is_a_port(world, programs):
    dut = world.netns("dut")
    dut.run("ip", "tuntap", "add", "name", "tap0", "mode", "tap")
    dut.run("ip", "link", "set", "dev", "tap0", "up")
    before = snapshot.take(dut, world.pin_root)
    agent = Agent(world, programs, dut, config({"wan": "tap0"}, "reflect")).start()
    pairs = agent.port("wan")["queue_pairs"]
    assert (pairs["current"], pairs["max"]) == (1, 1), pairs
    assert "one queue pair" in agent.refuse("queues", "set", 2)
    agent.stop()
    assert not snapshot.differences(before, snapshot.take(dut, world.pin_root))


@pytest.mark.parametrize("name", ["wan.0", "w\"an'", "wän", "w\\an$", "-wan"])
def test_odd_names(world, programs, name):
    gen, dut = world.netns("gen"), world.netns("dut")
    world.veth(gen, "a0", dut, "wan0")
    before = snapshot.take(dut, world.pin_root)
    dut.run("ip", "link", "set", "dev", "wan0", "down")
    dut.run("ip", "link", "set", "dev", "wan0", "name", name)
    dut.run("ip", "link", "set", "dev", name, "up")
    text = config({"wan": "X"}, "reflect").replace('"X"', json.dumps(name, ensure_ascii=False))
    agent = Agent(world, programs, dut, text)
    agent.start()
    mac = next(link["address"] for link in dut.json("ip", "-j", "link") if link["ifname"] == name)
    report = flowgen.run(programs, tx=(gen, "a0"), dst_mac=mac, flows=16, rate=0, window=60, count=500, settle=0.3)
    assert report["exact"], flowgen.words(report)
    assert agent.port("wan")["netdev"] == name
    agent.kill()
    agent.start()
    agent.stop()
    dut.run("ip", "link", "set", "dev", name, "down")
    dut.run("ip", "link", "set", "dev", name, "name", "wan0")
    dut.run("ip", "link", "set", "dev", "wan0", "up")
    wait_until(lambda: dut.json("ip", "-j", "link", "show", "wan0")[0]["operstate"] == "UP", "wan0 up")
    changed = snapshot.differences(before, snapshot.take(dut, world.pin_root))
    assert not changed, "\n".join(changed)


def test_an_alternative_name_is_as_good_as_the_name(reflector, programs, world):
    device = reflector(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.dut.run("ip", "link", "property", "add", "dev", "wan0", "altname", "uplink")
    device.agent.config.write_text(config({"wan": "uplink"}, "reflect", 2))
    device.start()
    exact(device, programs)
    assert device.agent.port("wan")["netdev"] == "wan0"
    driver, pairs = (next(one["what"] for one in device.agent.ask("doctor")["findings"] if one["check"] == check)
                     for check in ("driver", "queue_pairs"))
    assert driver == "wan0 is driven by veth" and pairs.startswith("2 of 4 queue pairs"), (driver, pairs)
    device.resize(4)
    device.agent.kill()
    device.agent.start()
    exact(device, programs)
    device.agent.settled()
    device.agent.stop()
    device.dut.run("ip", "link", "property", "del", "dev", "wan0", "altname", "uplink")
    changed = [one for one in snapshot.differences(before, snapshot.take(device.dut, world.pin_root))]
    assert not changed, "\n".join(changed)


def test_thousands_of_addresses_are_the_guests_and_an_agent_starts_with_them(reflector, world):
    device = reflector()
    device.gen.run("ip", "addr", "add", "10.200.0.1/16", "dev", "a0")
    device.start()
    batch = world.write("addresses", "".join(f"addr add 10.200.{i // 250 + 1}.{i % 250 + 1}/16 dev wan0\n"
                                             for i in range(5000)))
    device.dut.run("ip", "-batch", batch)
    last = "10.200.20.250"
    device.gen.run("ping", "-c", 1, "-w", 60, last)
    device.agent.kill()
    device.agent.start()
    device.gen.run("ping", "-c", 1, "-w", 60, last)
    device.agent.stop()
    device.agent.start()
    device.gen.run("ping", "-c", 1, "-w", 60, last)


@pytest.mark.parametrize("end", ["near", "far"])
def test_what_others_send_on_the_bridge_leaves_by_no_port(wire, programs, end):
    """LLDP, mDNS, DHCP: daemons send on all links, and the bridge's ends are links."""
    device = wire().start()
    exact(device, programs)
    index = device.dut.ifindex("wan0")
    netdev = f"slu{index}{end[0]}"
    watch = in_netns(device.right, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
    watch.bind(("b0", 0))
    watch.settimeout(1)
    strays = device.agent.port("wan").get("to_kernel_strays", 0)
    sender = in_netns(device.dut, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    sender.bind((netdev, 0))
    lldp = bytes.fromhex("0180c200000e 020000000001 88cc") + bytes(46)
    arp = bytes.fromhex("ffffffffffff 020000000001 0806 0001 0800 0604 0001"
                        "020000000001 c0000201 000000000000 c0000201")
    for frame in (lldp, arp + bytes(18)):
        try:
            sender.send(frame)
        except OSError:
            pass  # the kernel says that it was dropped
    wait_until(lambda: device.agent.port("wan").get("to_kernel_strays", 0) >= strays + 2,
               lambda: str(device.agent.port("wan")))
    with pytest.raises(TimeoutError):
        while True:
            assert b"\x02\x00\x00\x00\x00\x01" not in watch.recv(2048)
    exact(device, programs)
    device.resize(2)  # the bridge carries packets meanwhile
    exact(device, programs)
    device.agent.settled()


@pytest.mark.parametrize("capability", ["net_admin", "net_raw", "sys_admin"])
def test_a_refusal_for_want_of_rights_names_the_capability(reflector, world, capability):
    device = reflector()
    before = snapshot.take(device.dut, world.pin_root)
    said = device.agent.refuses_to_start(("setpriv", f"--bounding-set=-{capability}", f"--inh-caps=-{capability}"))
    assert f"lacks CAP_{capability.upper()}" in said, said
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))


def cores(device):
    return [worker["core"] for worker in device.agent.status()["workers"]]


def test_workers_run_on_the_cpus_that_the_agent_may_use(reflector, programs):
    device = reflector(queue_pairs=2)
    device.agent.start(wrapper=("taskset", "-c", "1"))
    assert cores(device) == [1]
    exact(device, programs)
    run("taskset", "-a", "-c", "-p", "0", device.agent.dataplane_pid())
    wait_until(lambda: cores(device) == [0], lambda: str(cores(device)))
    exact(device, programs)
    device.agent.kill()
    device.agent.start()
    assert cores(device) == [0], "a survivor's CPUs are its own"
    device.agent.stop()


def test_a_worker_that_somebody_moves_to_another_cpu_comes_back(reflector):
    device = reflector(queue_pairs=2).start()
    pid = device.agent.dataplane_pid()
    tasks = [int(line.split()[0]) for line in run("ps", "-L", "-o", "tid=,comm=", "-p", pid).stdout.splitlines()]
    placed = {task: os.sched_getaffinity(task) for task in tasks}
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one core there is nothing to place")
    for task, cpus in placed.items():
        if len(cpus) == 1:
            os.sched_setaffinity(task, {cpu ^ 1 for cpu in cpus})
    wait_until(lambda: {task: os.sched_getaffinity(task) for task in tasks} == placed, "the CPUs of before")
    assert "somebody moved workers to other CPUs" in device.agent.process.output()
    device.agent.settled()


def test_a_configured_core_that_the_agent_may_not_use_is_named(reflector):
    device = reflector(dataplane={"cores": [0]})
    said = device.agent.refuses_to_start(("taskset", "-c", "1"))
    assert "core 0 is not online, or the workers may not run on it" in said
