"""Rules and the blocklist of a running agent: changed in one step under traffic, counted, kept over a crash."""

import ipaddress
import random
import time

import pytest

from tests.lib import flowgen
from tests.lib.agent import REFUSED, USAGE
from tests.lib.command import wait_until


RULES = """
[[rule]]
proto = "udp"
src_port = "1-65535"
action = "{action}"

[[rule]]
src = "0.0.0.0/0"
action = "{action}"
"""


def rule_of(device, **fields):
    """Returns the first rule with these fields."""
    rules = device.agent.ask("rules")["rules"]
    return next(rule for rule in rules if fields.items() <= rule["fields"].items())


def test_a_rule_counts_what_it_decides(reflector, programs):
    device = reflector().start()
    assert device.agent.ask("rules")["rules"] == []
    device.agent.ctl("rules", "add", "drop", "proto=tcp")
    taken = device.agent.ask("rules", "add", "dataplane", "proto=udp", "src=0.0.0.0/0")["rules"][1]
    assert taken["packets"] == 0
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=0, window=60, count=1000, size=128, settle=0.3)
    assert report["exact"], flowgen.words(report)
    rule = rule_of(device, proto="udp")
    assert (rule["packets"], rule["bytes"]) == (1000, 128_000)
    # Another rule in front of it keeps its id and its count.
    device.agent.ctl("rules", "add", "pass", "proto=icmp", "--before", rule["id"])
    assert [r["fields"]["proto"] for r in device.agent.ask("rules", "list")["rules"]] == ["tcp", "icmp", "udp"]
    assert (rule_of(device, proto="udp")["id"], rule_of(device, proto="udp")["packets"]) == (rule["id"], 1000)
    device.agent.ctl("rules", "del", rule["id"])
    assert [r["fields"]["proto"] for r in device.agent.ask("rules")["rules"]] == ["tcp", "icmp"]


@pytest.mark.parametrize("arguments, code, says", [
    (["add", "reject"], USAGE, "reject"),
    (["add", "drop", "proto"], USAGE, "'proto' is no FIELD=VALUE"),
    (["add", "drop", "proto=tcp", "proto=udp"], USAGE, "proto is there twice"),
    (["add", "drop", "dport=22"], REFUSED, "dport: unknown key; allowed: proto"),
    (["add", "drop", "dst_port=22"], REFUSED, "proto must be tcp, udp or sctp"),
    (["add", "drop", "in_port=dmz"], REFUSED, "'dmz' is no port; allowed: wan"),
    (["add", "drop", "--before", "77"], REFUSED, "no rule has id 77"),
    (["del", "77"], REFUSED, "no rule has id 77"),
    (["del", "x"], USAGE, "x"),
    (["replace", "/nowhere"], REFUSED, "/nowhere: cannot be read: No such file"),
    (["replace", "/"], REFUSED, "/: cannot be read: Is a directory"),
])
def test_bad_input_changes_nothing(reflector, arguments, code, says):
    device = reflector().start()
    device.agent.ctl("rules", "add", "drop", "proto=tcp")
    before = device.agent.ask("rules")
    assert says in device.agent.refuse("rules", *arguments, code=code)
    assert device.agent.ask("rules") == before


def test_a_file_with_mistakes_replaces_nothing(reflector, world):
    device = reflector().start()
    device.agent.ctl("rules", "add", "drop", "proto=tcp")
    before = device.agent.ask("rules")
    file = world.write("rules.toml", '[[rule]]\naction = "pass"\n[[rule]]\nproto = "tpc"\naction = "drop"\n')
    assert f"{file}:4: rule.proto: 'tpc' is not allowed" in device.agent.refuse("rules", "replace", file)
    assert device.agent.ask("rules") == before


def test_a_rule_of_one_port_does_not_show_what_another_counted(wire, programs):
    device = wire().start()
    device.agent.ctl("rules", "add", "dataplane", "proto=udp")
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=0, window=60, count=500, settle=0.3)
    assert report["exact"], flowgen.words(report)
    old = rule_of(device, proto="udp")
    assert old["packets"] == report["total"]["sent"]
    device.agent.ctl("rules", "del", old["id"])
    device.agent.ctl("rules", "add", "drop", "proto=icmp", "in_port=wan")
    assert rule_of(device, proto="icmp")["packets"] == 0


def test_no_packet_sees_half_a_set(reflector, programs, world):
    """Both sets give all packets to the dataplane. A packet that saw rules of both would meet a rule that drops it."""
    device = reflector(queue_pairs=2).start()
    some = "".join(f'[[rule]]\nproto = "tcp"\ndst_port = {port}\naction = "drop"\n' for port in range(1, 500))
    whole = world.write("whole.toml", some + RULES.format(action="dataplane"))
    other = world.write("other.toml", RULES.format(action="dataplane") + RULES.format(action="drop"))
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=0, window=60) as traffic:
        for change in range(40):
            device.agent.ctl("rules", "replace", (whole, other)[change % 2])
    report = traffic.report
    assert report["exact"], flowgen.words(report)
    assert report["total"]["sent"] > 1000
    rules = device.agent.ask("rules")["rules"]
    assert sum(rule["packets"] for rule in rules if rule["fields"]["action"] == "drop") == 0
    device.agent.settled()


def test_rules_and_blocklist_outlive_the_agent(reflector, programs, world):
    device = reflector().start()
    device.agent.ctl("rules", "add", "dataplane", "proto=udp")
    device.agent.ctl("rules", "add", "drop", "proto=tcp", "--before", 1)
    device.agent.ctl("blocklist", "add", "203.0.113.0/24", "2001:db8:bad::/48")
    send = dict(flows=8, rate=0, window=60, count=500, settle=0.3)
    assert flowgen.run(programs, **device.traffic(), **send)["exact"]
    before = device.agent.ask("rules")
    device.agent.kill()
    device.agent.start()
    assert device.agent.ask("rules") == before
    assert device.agent.ask("blocklist", "203.0.113.9") | {"dropped_packets": 0} == {
        "prefixes": 2, "dropped_packets": 0, "blocked": True, "covering_bits": 24, "changed": 0}
    assert flowgen.run(programs, **device.traffic(), **send)["exact"]
    assert rule_of(device, proto="udp")["packets"] == 1000
    # A configuration file that was changed meanwhile takes precedence.
    device.agent.kill()
    world.write("agent.toml", device.agent.config.read_text() + '\n[[rule]]\nproto = "icmp"\naction = "pass"\n')
    device.agent.start()
    assert [rule["fields"]["proto"] for rule in device.agent.ask("rules")["rules"]] == ["icmp"]
    # An agent that ends in order leaves nothing.
    device.agent.stop()
    device.agent.start()
    assert device.agent.ask("blocklist")["prefixes"] == 0


def test_blocked_sources_are_dropped_and_counted(reflector, programs):
    device = reflector().start()
    traffic = dict(flows=8, rate=0, window=60, count=500, settle=0.3)
    report = flowgen.run(programs, **device.traffic(), **traffic)
    assert report["exact"], flowgen.words(report)
    # A quarter of all IPv4 addresses, which has none of flowgen's sources (198.18.0.0/15).
    device.agent.ctl("blocklist", "add", "0.0.0.0/2")
    assert flowgen.run(programs, **device.traffic(), **traffic)["exact"]
    assert device.agent.ask("blocklist")["dropped_packets"] == 0
    device.agent.ctl("blocklist", "add", "0.0.0.0/0")
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=2000, count=500, settle=0.3)
    assert (report["total"]["sent"], report["total"]["received"]) == (500, 0), flowgen.words(report)
    assert device.agent.ask("blocklist")["dropped_packets"] == 500
    queues = device.agent.settled()["ports"][0]["queues"]
    assert sum(queue["xdp_packets"]["blocked"] for queue in queues) == 500
    device.agent.ctl("blocklist", "del", "0.0.0.0/0")
    assert flowgen.run(programs, **device.traffic(), **traffic)["exact"]
    assert "has bits beyond the prefix" in device.agent.refuse("blocklist", "add", "192.0.2.1", "10.0.0.1/8")
    assert device.agent.ask("blocklist")["prefixes"] == 1


def test_a_million_prefixes_are_loaded_under_traffic_and_replaced_in_one_step(reflector, programs, world):
    device = reflector().start()
    numbers = random.Random(1).sample(range(1 << 24, 100 << 24), 1_000_000)  # flowgen's sources are above
    text = "\n".join(str(ipaddress.IPv4Address(number)) for number in numbers)
    million, with_all = world.write("million", text), world.write("with-all", text + "\n0.0.0.0/0\n")
    all_in_halves = world.write("halves", "0.0.0.0/1\n128.0.0.0/1\n")
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=0, window=60) as traffic:
        wait_until(lambda: device.agent.status()["balance"]["received"] > 0, "traffic")
        began = time.monotonic()
        assert device.agent.ask("blocklist", "replace", million, timeout=120)["changed"] == 1_000_000
        took = time.monotonic() - began
        assert device.agent.ask("blocklist", ipaddress.IPv4Address(numbers[0]))["covering_bits"] == 32
    assert traffic.report["exact"], flowgen.words(traffic.report)
    print(f"1,000,000 prefixes in {took:.1f} s")
    # Each of these lists blocks every source: not one packet may slip through between them.
    device.agent.ctl("blocklist", "replace", all_in_halves)
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=5000) as traffic:
        for file in (with_all, all_in_halves) * 2:
            device.agent.ctl("blocklist", "replace", file, timeout=120)
    assert traffic.report["total"]["sent"] > 1000
    assert traffic.report["total"]["received"] == 0, flowgen.words(traffic.report)
    device.agent.ctl("blocklist", "replace", world.write("empty", "# none\n"))
    assert device.agent.ask("blocklist")["prefixes"] == 0
