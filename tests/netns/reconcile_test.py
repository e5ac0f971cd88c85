"""Changes behind the agent's back: it repairs what it can, and says what it cannot."""

import pytest

from tests.lib import flowgen, prometheus
from tests.lib.command import CommandFailed, wait_until

FLOWS = 16
# Commands in the function's namespace that take away a part of port wan. N and F are the ends of its bridge.
TAKEN_AWAY = {
    "xdp": ["ip link set dev wan0 xdp off"],
    "filter": ["tc filter del dev wan0 ingress"],
    "clsact": ["tc qdisc del dev wan0 clsact"],
    "xdp and clsact": ["ip link set dev wan0 xdp off", "tc qdisc del dev wan0 clsact"],
    "the bridge's near filter": ["tc filter del dev N ingress"],
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
        if any("sluice" in str(one) for one in device.dut.json("tc", "-j", "filter", "show", "dev", link["ifname"],
                                                               "ingress")):
            parts.add(f"{name} filter")
    return parts, f"slu{index}n", f"slu{index}f"


def exact(device, programs):
    report = flowgen.run(programs, **device.traffic(), flows=FLOWS, rate=0, window=60, count=500, settle=0.3)
    assert report["exact"], flowgen.words(report)


@pytest.mark.parametrize("part", TAKEN_AWAY)
def test_parts_that_somebody_takes_away_come_back(wire, programs, part):
    device = wire(queue_pairs=2).start()
    exact(device, programs)
    before, near, far = parts_of(device)
    assert before >= {"wan xdp", "wan filter", "wan promiscuous", "near filter", "far xdp"}, before
    for command in TAKEN_AWAY[part]:
        device.dut.run(*command.replace(" N", f" {near}").replace(" F", f" {far}").split())
    wait_until(lambda: parts_of(device)[0] == before, lambda: f"{before - parts_of(device)[0]} is missing")
    wait_until(lambda: not device.agent.status().get("degraded"), lambda: str(device.agent.status().get("degraded")))
    exact(device, programs)
    device.resize(4)
    exact(device, programs)
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
    wait_until(lambda: any(words in one for one in device.agent.status().get("degraded", [])),
               lambda: str(device.agent.status().get("degraded")))


def test_a_bridge_that_is_gone_is_said(wire):
    device = wire().start()
    _, near, _ = parts_of(device)
    device.dut.run("ip", "link", "del", near)
    wait_until(lambda: any("veth pair" in one for one in device.agent.status().get("degraded", [])),
               lambda: str(device.agent.status().get("degraded")))
