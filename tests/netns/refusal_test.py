"""Refusals of wrong input, with its word or key, and of requests that the kernel refuses. Nothing changes then."""

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import REFUSED, UNREACHABLE, USAGE, Agent, config
from tests.lib.command import run
from tests.lib.foreign_xsk import ForeignXsk

USAGE_ERRORS = [
    [],
    ["frobnicate"],
    ["status", "extra"],
    ["status", "-o", "xml"],
    ["queues", "set"],
    ["queues", "set", "two"],
    ["queues", "set", "-1"],
    ["queues", "set", "1.5"],
    ["queues", "set", "2x"],
    ["queues", "set", ""],
    ["queues", "set", "4294967296"],
    ["queues", "set", "2", "3"],
    ["queues", "set", "2", "--method", "magic"],
    ["queues", "set", "2", "--timeout", "soon"],
    ["queues", "set", "2", "--timeout", "-1s"],
    ["queues", "set", "2", "--timeout", "0"],
    ["queues", "set", "2", "--frobnicate"],
    ["workers", "set"],
    ["workers", "set", "many"],
    ["stats", "--watch", "never"],
    ["stats", "--watch", "0s"],
    ["config"],
    ["config", "check"],
    ["config", "apply", "--confirm", "soon"],
    ["config", "apply", "--confirm", "0s"],
    ["config", "confirm", "now"],
]

REFUSALS = [
    (["queues", "set", "0"], "at least one"),
    (["queues", "set", "5"], "wan0"),
    (["queues", "set", "1000"], "1000"),
    (["queues", "set", "1", "--method", "spread"], "RSS"),
    (["queues", "nosuchport"], "nosuchport"),
    (["workers", "set", "0"], "worker"),
    (["workers", "set", "5"], "5"),
    (["doctor", "nosuchport"], "nosuchport"),
]


def test_wrong_words_change_nothing(reflector, world, programs):
    device = reflector(queue_pairs=2).start()
    before = snapshot.take(device.dut, world.pin_root)
    for arguments in USAGE_ERRORS:
        assert device.agent.refuse(*arguments, code=USAGE).strip(), arguments
    for arguments, expected in REFUSALS:
        said = device.agent.refuse(*arguments, code=REFUSED)
        assert expected in said, (arguments, said)
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)
    assert flowgen.run(programs, **device.traffic(), rate=1000, count=500, window=60)["exact"]


def test_no_agent(world, programs):
    for arguments in (["status"], ["queues"], ["queues", "set", "2"], ["workers", "set", "1"], ["stats"], ["doctor"]):
        done = run(programs.ctl, "--socket", world.folder / "nobody.sock", *arguments, check=False)
        assert done.returncode == UNREACHABLE, (arguments, done)
        assert "nobody.sock" in done.stderr


# (line to change, its replacement, word that the message must have)
PORT, QUEUES, TYPE = 'netdev = "wan0"', "queue_pairs = 1", 'type = "reflect"'
BAD_CONFIGS = {
    "not toml": (PORT, "netdev = = 1", ""),
    "unknown key of a port": (PORT, PORT + "\nspeed = 10", "speed"),
    "unknown table": (TYPE, TYPE + "\n[turbo]\non = true", "turbo"),
    "unknown key of the dataplane": (QUEUES, QUEUES + "\nturbo = true", "turbo"),
    "unknown key of the function": (TYPE, TYPE + "\nturbo = true", "turbo"),
    "netdev of a wrong type": (PORT, "netdev = 5", "netdev"),
    "netdev that is too long": (PORT, 'netdev = "abcdefghijklmnop"', "netdev"),
    "netdev with a slash": (PORT, 'netdev = "../wan0"', "netdev"),
    "no netdev": (PORT, "", "netdev"),
    "name twice": (PORT, PORT + '\n[[port]]\nname = "wan"\nnetdev = "lan0"', "wan"),
    "netdev twice": (PORT, PORT + '\n[[port]]\nname = "lan"\nnetdev = "wan0"', "wan0"),
    "policy": (PORT, PORT + '\non_dataplane_down = "panic"', "on_dataplane_down"),
    "no queue pairs": (QUEUES, "queue_pairs = 0", "queue_pairs"),
    "negative queue pairs": (QUEUES, "queue_pairs = -1", "queue_pairs"),
    "too many queue pairs": (QUEUES, "queue_pairs = 65", "queue_pairs"),
    "queue pairs of a wrong type": (QUEUES, 'queue_pairs = "1"', "queue_pairs"),
    "mode": (QUEUES, QUEUES + '\nmode = "fast"', "mode"),
    "poll": (QUEUES, QUEUES + '\npoll = "never"', "poll"),
    "cores of a wrong type": (QUEUES, QUEUES + "\ncores = [0.5]", "cores"),
    "core twice": (QUEUES, QUEUES + "\ncores = [0, 0]", "cores"),
    "no workers": (QUEUES, QUEUES + "\nworkers = 0", "workers"),
    "more workers than cores": (QUEUES, QUEUES + "\ncores = [0]\nworkers = 2", "workers"),
    "unknown function": (TYPE, 'type = "teleport"', "teleport"),
    "no function": (TYPE, "", "type"),
    "function with too few ports": (TYPE, 'type = "forward"', "forward"),
    "rule without action": (TYPE, TYPE + '\n[[rule]]\nproto = "udp"', "action"),
    "rule with a wrong action": (TYPE, TYPE + '\n[[rule]]\naction = "bounce"', "action"),
    "rule with a wrong address": (TYPE, TYPE + '\n[[rule]]\nsrc = "300.1.1.1"\naction = "drop"', "src"),
    "rule with a wrong port": (TYPE, TYPE + '\n[[rule]]\nproto = "udp"\ndst_port = 65536\naction = "drop"', "dst_port"),
    "rule with a reversed range": (
        TYPE, TYPE + '\n[[rule]]\nproto = "udp"\ndst_port = "9-7"\naction = "drop"', "dst_port"),
    "rule with a wrong vlan": (TYPE, TYPE + '\n[[rule]]\nvlan = 4096\naction = "drop"', "vlan"),
    "rule for a port that is not there": (TYPE, TYPE + '\n[[rule]]\nin_port = "dmz"\naction = "drop"', "dmz"),
    "rule with an unknown field": (TYPE, TYPE + '\n[[rule]]\ncolour = "red"\naction = "drop"', "colour"),
}


def test_wrong_configurations(world, programs):
    """Both programs name file and line of the mistake, before anything is touched."""
    dut = world.netns("dut")
    world.veth(dut, "wan0", dut, "lan0")
    good = config({"wan": "wan0"}, "reflect")
    before = snapshot.take(dut, world.pin_root)
    for number, (name, (line, instead, expected)) in enumerate(BAD_CONFIGS.items()):
        assert good.count(line) == 1, name
        agent = Agent(world, programs, dut, good.replace(line, instead), f"bad{number}")
        said = agent.refuses_to_start()
        checked = run(programs.ctl, "config", "check", agent.config, check=False)
        assert checked.returncode == REFUSED, name
        for text in (said, checked.stderr + checked.stdout):
            assert f"{agent.config}:" in text and expected in text, (name, text)
    changed = snapshot.differences(before, snapshot.take(dut, world.pin_root))
    assert not changed, "\n".join(changed)


@pytest.mark.parametrize("ports, options, expected", [
    ({"wan": "nosuch0"}, {}, "nosuch0"),
    ({"wan": "lo"}, {}, "lo"),
    ({"wan": "wan0"}, {"queue_pairs": 2}, "wan0"),  # the device has one
    ({"wan": "wan0"}, {"dataplane": {"mode": "zerocopy"}}, "wan0"),
    ({"wan": "wan0"}, {"dataplane": {"cores": [8000]}}, "8000"),
], ids=["no-netdev", "loopback", "too-many-pairs", "no-zerocopy", "no-core"])
def test_what_this_machine_has_not_got(world, programs, ports, options, expected):
    gen, dut = world.netns("gen"), world.netns("dut")
    world.veth(gen, "a0", dut, "wan0")
    before = snapshot.take(dut, world.pin_root)
    said = Agent(world, programs, dut, config(ports, "reflect", **options)).refuses_to_start()
    assert expected in said
    changed = snapshot.differences(before, snapshot.take(dut, world.pin_root))
    assert not changed, "\n".join(changed)
    assert not dut.pids()


def test_mtu_that_does_not_fit(world, programs):
    gen, dut = world.netns("gen"), world.netns("dut")
    world.veth(gen, "a0", dut, "wan0", mtu=9000)
    said = Agent(world, programs, dut, config({"wan": "wan0"}, "reflect")).refuses_to_start()
    assert "9000" in said and "wan0" in said


def test_foreign_xdp_program(world, programs):
    gen, dut = world.netns("gen"), world.netns("dut")
    world.veth(gen, "a0", dut, "wan0")
    dut.run("ip", "link", "set", "dev", "wan0", "xdp", "obj", programs.bpf / "sluice_bridge_rx.bpf.o", "sec", "xdp")
    before = snapshot.take(dut, world.pin_root)
    said = Agent(world, programs, dut, config({"wan": "wan0"}, "reflect")).refuses_to_start()
    assert "wan0" in said
    assert not snapshot.differences(before, snapshot.take(dut, world.pin_root))


def test_kernel_refuses_the_shrink_and_it_is_rolled_back(reflector, programs):
    """A foreign socket is on queue 3, which the device has and Sluice does not use: four RX and two TX queues are two
    pairs."""
    device = reflector(queue_pairs=2)
    device.dut.run("ethtool", "-L", "wan0", "rx", 4, "tx", 2)
    device.start()
    before = device.dut.run("ethtool", "-l", "wan0").stdout
    with ForeignXsk(device.dut, "wan0", 3):
        with flowgen.Background(programs, **device.traffic(), flows=16, rate=1000, window=60) as traffic:
            said = device.agent.refuse("queues", "set", 1)
            assert "wan0" in said
            report = traffic.stop()
    lost, _, duplicated, corrupted = flowgen.counts(report)
    assert (lost, duplicated, corrupted) == (0, 0, 0), report
    assert device.dut.run("ethtool", "-l", "wan0").stdout == before
    status = device.agent.settled()
    assert status["last_resize"]["result"] == "rolled back"
    assert status["ports"][0]["queue_pairs"]["current"] == 2
    assert flowgen.run(programs, **device.traffic(), rate=1000, count=500, window=60)["exact"]


def test_timeout_rolls_back(reflector, programs):
    device = reflector(queue_pairs=4).start()
    said = device.agent.refuse("queues", "set", 1, "--timeout", "1ms", code=4)
    assert said.strip()
    assert device.agent.port("wan")["queue_pairs"]["current"] == 4
    assert flowgen.run(programs, **device.traffic(), rate=1000, count=500, window=60)["exact"]
    device.agent.settled()
