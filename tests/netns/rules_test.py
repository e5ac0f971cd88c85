"""Rules and the blocklist of a running agent: changed in one step under traffic, counted, kept over a crash."""

import ipaddress
import os
import random
import signal
import time

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import REFUSED, USAGE
from tests.lib.command import run, wait_until


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
    device.agent.ctl("allowlist", "add", "203.0.113.9")
    device.agent.kill()
    device.agent.start()
    found = device.agent.ask("blocklist", "203.0.113.8")
    assert (found["prefixes"], found["blocked"], found["covering_bits"]) == (2, True, 24)
    found = device.agent.ask("blocklist", "203.0.113.9")
    assert (found["listed"], found["blocked"]) == (True, False)
    assert device.agent.ask("allowlist")["prefixes"] == 1
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
    device.agent.ctl("blocklist", "add", "--force", "0.0.0.0/2")
    assert flowgen.run(programs, **device.traffic(), **traffic)["exact"]
    assert device.agent.ask("blocklist")["dropped_packets"] == 0
    device.agent.ctl("blocklist", "add", "--force", "0.0.0.0/0")
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=2000, count=500, settle=0.3)
    assert (report["total"]["sent"], report["total"]["received"]) == (500, 0), flowgen.words(report)
    assert device.agent.ask("blocklist")["dropped_packets"] == 500
    queues = device.agent.settled()["ports"][0]["queues"]
    assert sum(queue["xdp_packets"]["blocked"] for queue in queues) == 500
    device.agent.ctl("blocklist", "del", "0.0.0.0/0")
    assert flowgen.run(programs, **device.traffic(), **traffic)["exact"]
    assert "010.0.0.1" in device.agent.refuse("blocklist", "add", "192.0.2.1", "010.0.0.1")
    assert device.agent.ask("blocklist")["prefixes"] == 1


def blocks_flowgen(device, programs):
    """flowgen's sources are in 198.18.0.0/15."""
    report = flowgen.run(programs, **device.traffic(), flows=8, rate=2000, count=200, settle=0.3)
    assert report["total"]["received"] in (0, 200), flowgen.words(report)
    return report["total"]["received"] == 0


def test_the_allow_list_goes_before_the_blocklist_and_rules_behind_it(reflector, programs):
    device = reflector().start()
    agent = device.agent
    agent.ctl("rules", "add", "dataplane", "src=198.18.0.0/15")
    agent.ctl("blocklist", "add", "198.18.0.0/16", "198.19.0.0/16")
    assert blocks_flowgen(device, programs), "a rule does not unblock"
    agent.ctl("allowlist", "add", "198.18.0.0/15")
    assert not blocks_flowgen(device, programs), "although the blocklist has longer prefixes"
    agent.ctl("allowlist", "del", "198.18.0.0/15")
    assert blocks_flowgen(device, programs)


def test_lists_from_the_field(reflector, programs, world):
    agent = reflector().start().agent
    drop = world.write("drop.txt", "\ufeff; Spamhaus DROP List\r\n1.10.16.0/20 ; SBL256894\r\n"
                       "1.19.0.1/16 ; SBL434604\r\n"
                       "203.0.113.4 - 203.0.113.9\r\n::ffff:192.0.2.7\r\n"
                       '{"cidr":"2001:db8:bad::/48","sblid":"SBL1"}\r\n{"type":"metadata","size":92}\r\n')
    done = agent.ctl("blocklist", "replace", drop)
    assert "warning: 1 entry had bits beyond the prefix" in done.stderr and "1.19.0.0/16" in done.stderr
    assert "warning: 1 entry had IPv4 written as IPv6" in done.stderr
    assert agent.ask("blocklist")["prefixes"] == 6
    for blocked in ("1.10.31.255", "1.19.9.9", "203.0.113.8", "192.0.2.7", "2001:db8:bad::1"):
        assert agent.ask("blocklist", blocked)["blocked"], blocked
    for other in ("203.0.113.10", "203.0.113.3", "192.0.2.8"):
        assert not agent.ask("blocklist", other)["blocked"], other
    # Each of these is refused, and the list stays.
    empty = world.write("empty.txt", "; nothing\n")
    assert "--allow-empty" in agent.refuse("blocklist", "replace", empty)
    assert "--min wants 1000" in agent.refuse("blocklist", "replace", drop, "--min", 1000)
    (world.folder / "utf16.txt").write_bytes("192.0.2.1\n".encode("utf-16"))
    assert "UTF-16" in agent.refuse("blocklist", "replace", world.folder / "utf16.txt")
    assert "bad.txt:2: " in agent.refuse("blocklist", "replace", world.write("bad.txt", "192.0.2.1\n010.0.0.1\n"))
    assert "directory" in agent.refuse("blocklist", "replace", world.folder)
    assert agent.ask("blocklist")["prefixes"] == 6
    agent.ctl("blocklist", "replace", drop, "--min", 5)
    agent.ctl("blocklist", "replace", empty, "--allow-empty")
    assert agent.ask("blocklist")["prefixes"] == 0


def test_nobody_locks_himself_out(reflector, world):
    device = reflector()
    device.dut.run("ip", "addr", "add", "192.0.2.10/24", "dev", "wan0")
    device.dut.run("ip", "route", "add", "default", "via", "192.0.2.1")
    agent = device.start().agent
    for everything in ("0.0.0.0/0", "::/0", "0.0.0.0-255.255.255.255", "::ffff:0:0/96"):
        assert "blocks everything" in agent.refuse("blocklist", "add", everything), everything
    assert "192.0.2.10, an address of this machine" in agent.refuse("blocklist", "add", "192.0.2.8/29")
    assert "192.0.2.1, a gateway" in agent.refuse("blocklist", "replace", world.write("l", "192.0.2.0/30\n"))
    login = ("env", "SSH_CLIENT=198.51.100.7 50000 22", agent.programs.ctl, "--socket", agent.socket)
    refused = run(*login, "blocklist", "add", "198.51.100.0/24", check=False)
    assert refused.returncode == REFUSED and "198.51.100.7, from which you are logged in" in refused.stderr, refused
    assert agent.ask("blocklist")["prefixes"] == 0
    agent.ctl("allowlist", "add", "198.51.100.7", "192.0.2.0/24")
    run(*login, "blocklist", "add", "198.51.100.0/24", "192.0.2.0/24")
    refused = run(*login, "allowlist", "del", "198.51.100.7", check=False)
    assert refused.returncode == REFUSED and "would be allowed no more" in refused.stderr, refused
    assert "would be allowed no more" in agent.refuse("allowlist", "replace", world.write("l", "203.0.113.1\n"))
    assert agent.ask("allowlist")["prefixes"] == 2
    agent.ctl("blocklist", "add", "0.0.0.0/0", "--force")


def test_a_list_that_nobody_confirms_is_rolled_back(reflector, world):
    agent = reflector().start().agent
    agent.ctl("blocklist", "replace", world.write("one", "203.0.113.1\n"))
    two = world.write("two", "203.0.113.1\n203.0.113.2\n")
    for verb in (("replace", two), ("add", "203.0.113.1", "203.0.113.2")):
        agent.ctl("blocklist", *verb, "--confirm", "1s")
        wait_until(lambda: agent.ask("blocklist")["prefixes"] == 1, lambda: agent.ask("blocklist"))
        assert agent.ask("blocklist", "203.0.113.1")["blocked"]
    agent.ctl("blocklist", "del", "203.0.113.1", "--confirm", "1h")
    assert agent.ask("blocklist")["prefixes"] == 0
    assert "waits to be confirmed" in agent.refuse("blocklist", "add", "203.0.113.9")
    assert "waits to be confirmed" in agent.refuse("allowlist", "confirm")
    agent.ctl("blocklist", "rollback")
    assert agent.ask("blocklist")["prefixes"] == 1
    agent.ctl("blocklist", "replace", two, "--confirm", "1h")
    agent.ctl("blocklist", "confirm")
    assert agent.ask("blocklist") | {"dropped_packets": 0} == agent.ask("blocklist") | {
        "prefixes": 2, "seconds_to_confirm": 0, "dropped_packets": 0}
    assert "no change" in agent.refuse("blocklist", "confirm")


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
    device.agent.ctl("blocklist", "replace", all_in_halves, "--force")
    with flowgen.Background(programs, **device.traffic(), flows=32, rate=5000) as traffic:
        for file in (with_all, all_in_halves) * 2:
            device.agent.ctl("blocklist", "replace", file, "--force", timeout=120)
    assert traffic.report["total"]["sent"] > 1000
    assert traffic.report["total"]["received"] == 0, flowgen.words(traffic.report)
    device.agent.ctl("blocklist", "replace", world.write("empty", "# none\n"), "--allow-empty")
    assert device.agent.ask("blocklist")["prefixes"] == 0


def test_a_dataplane_that_dies_while_a_list_is_loaded_is_replaced_meanwhile(reflector, programs, world):
    """Everything in the block happens before the list is loaded."""
    device = reflector().start()
    pid = device.agent.dataplane_pid()
    many = world.write("many", "".join(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.7\n" for i in range(2_000_000)))
    device.agent.ctl("blocklist", "add", "192.0.2.0/24")
    other = world.write("other", "198.51.100.0/24\n")
    loading = world.start(programs.ctl, "--socket", device.agent.socket, "blocklist", "replace", many,
                          "--confirm", "1h")

    def refused():
        return "is being loaded" in device.agent.ctl("blocklist", "add", "192.0.2.0/24", check=False).stderr

    wait_until(refused, "the load's beginning")
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: device.agent.status()["dataplane"]["pid"] not in (0, pid), "a new dataplane")
    print(f"back after {time.monotonic() - began:.2f} s")
    began = time.monotonic()
    assert device.agent.ask("blocklist")["prefixes"] == 1
    print(f"answered after {time.monotonic() - began:.2f} s")
    for change in (["replace", other], ["del", "192.0.2.0/24"], ["confirm"], ["rollback"]):
        said = device.agent.refuse("blocklist", *change)
        assert "many is being loaded into the blocklist; nothing was changed" in said
    assert device.agent.ask("blocklist", "192.0.2.1")["blocked"]
    assert loading.running(), loading.output()

    assert loading.wait() == 0, loading.output()
    assert device.agent.ask("blocklist")["prefixes"] == 2_000_000
    assert not device.agent.ask("blocklist", "192.0.2.1").get("blocked")
    device.agent.ctl("blocklist", "rollback")
    assert device.agent.ask("blocklist", "192.0.2.1")["blocked"]


def test_an_agent_ends_while_a_list_is_loaded(reflector, programs, world):
    device = reflector()
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    many = world.write("many", "".join(f"{10 + (i >> 16)}.{i >> 8 & 255}.{i & 255}.7\n" for i in range(2_000_000)))
    loading = world.start(programs.ctl, "--socket", device.agent.socket, "blocklist", "replace", many)
    wait_until(lambda: "is being loaded" in device.agent.ctl("blocklist", "add", "192.0.2.0/24", check=False).stderr,
               "the load's beginning")
    device.agent.stop()
    assert loading.wait() != 0
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
