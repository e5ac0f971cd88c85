"""The kit of network functions, tested by `count`: settings, counters, commands, and state that outlives a dataplane.

Agent and sluicectl have no code for `count`: they know a function by its descriptor alone.
"""

import os
import signal

from tests.lib import flowgen, prometheus
from tests.lib.agent import REFUSED, USAGE, config
from tests.lib.command import wait_until

FLOWS = 16
PORTS = {"wan": "wan0", "lan": "lan0"}
MANY = 1000
# Sends one UDP packet from each of argv[1] addresses.
FROM_MANY = """
import socket, struct, sys
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
    s.bind(("a0", 0))
    for source in range(int(sys.argv[1])):
        ip = struct.pack("!BBHHHBBHII", 0x45, 0, 28, 0, 0, 64, 17, 0, 0xc6120000 + source, 0xc6130001)
        s.send(b"\\2" * 12 + b"\\x08\\0" + ip + struct.pack("!HHHH", 1, 2, 8, 0))
"""


def counting(wire, **options):
    return wire(function="count", **options).start()


def configuration(settings="", queue_pairs=1):
    text = config(PORTS, "count", queue_pairs)
    return text.replace('type = "count"', f'type = "count"\n{settings}')


def send(device, programs, count=500):
    report = flowgen.run(programs, **device.traffic(), flows=FLOWS, rate=0, window=60, count=count, settle=0.3)
    assert report["exact"], flowgen.words(report)
    return report["total"]["sent"]


def rows(device, *options):
    """Returns each row of `function sources` as {column: value}."""
    answer = device.agent.ask("function", "sources", *options)
    names = [column["name"] for column in answer["columns"]]
    return [dict(zip(names, (next(iter(value.values())) for value in row["values"]), strict=True))
            for row in answer.get("rows", [])]


def counted(device):
    return sum(row["packets"] for row in rows(device))


def counters(device):
    return device.agent.status()["function"]["counters"]


def test_every_packet_is_counted_once_by_its_source(wire, programs):
    device = counting(wire, queue_pairs=4)
    sent = send(device, programs)
    answer = rows(device)
    assert sum(row["packets"] for row in answer) == sent
    assert sum(row["bytes"] for row in answer) == sent * 64
    assert counters(device) == {"sources_created": len(answer), "sources_expired": 0, "uncounted_packets": 0}
    device.resize(2)
    sent += send(device, programs)
    assert counted(device) == sent, "the resize forgot packets"
    balance = device.agent.settled()["balance"]
    assert (balance["transmitted"], balance["dropped"]) == (sent, 0)


def test_what_people_read(wire, programs):
    device = counting(wire)
    send(device, programs)
    table = device.agent.ctl("function", "sources", "--top", 2).stdout.splitlines()
    assert table[0].split() == ["SOURCE", "PACKETS", "BYTES", "IDLE"]
    assert len(table) == 3
    largest = rows(device, "--top", 2)
    assert [line.split()[0] for line in table[1:]] == [row["source"] for row in largest]
    said = device.agent.ctl("function").stdout
    for words in ("count: ", "settings: ", "idle=5m", "sources=65536", "sources_created", "sluicectl function sources"):
        assert words in said, said


def test_bad_arguments_are_refused(wire, programs):
    device = counting(wire)
    sent = send(device, programs)
    assert "--top" in device.agent.refuse("function", "sources", "--top", "257", code=USAGE)
    assert "--top" in device.agent.refuse("function", "sources", "--top", "many", code=USAGE)
    device.agent.refuse("function", "sessions", code=USAGE)
    assert counted(device) == sent


def test_a_function_without_the_command_says_so(reflector):
    said = reflector().start().agent.refuse("function", "sources", code=REFUSED)
    assert 'function "reflect" has no command sources' in said, said


def test_more_rows_than_a_page_has(wire):
    device = counting(wire)
    device.left.run("/usr/bin/python3", "-c", FROM_MANY, MANY)
    wait_until(lambda: counters(device)["sources_created"] == MANY, lambda: str(counters(device)))
    answer = rows(device)
    assert len({row["source"] for row in answer}) == len(answer) == MANY
    assert {row["packets"] for row in answer} == {1}


def test_counts_outlive_the_dataplane_and_the_agent(wire, programs):
    device = counting(wire, queue_pairs=2)
    sent = send(device, programs)
    pid = device.agent.dataplane_pid()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: (dataplane := device.agent.status()["dataplane"])["state"] == "running"
               and dataplane["pid"] != pid, "another dataplane")
    assert counted(device) == sent
    sent += send(device, programs)
    device.agent.kill()
    device.agent.start()
    assert counted(device) == sent
    os.kill(device.agent.dataplane_pid(), signal.SIGKILL)
    wait_until(lambda: device.agent.status()["dataplane"]["restarts"] == 2
               and device.agent.status()["dataplane"]["state"] == "running", "a dataplane started by the second agent")
    sent += send(device, programs)
    assert counted(device) == sent


def test_a_live_setting_changes_under_way_and_another_one_needs_a_restart(wire, programs):
    device = counting(wire)
    send(device, programs)
    pid = device.agent.dataplane_pid()
    device.agent.config.write_text(configuration('idle = "1s"'))
    change, = device.agent.ask("config", "diff", device.agent.config)["changes"]
    assert (change["before"], change["after"], change["needs_restart"]) == ("5m", "1s", False), change
    device.agent.ctl("config", "apply", device.agent.config)
    wait_until(lambda: counters(device)["sources_expired"] > 0, "sources idle for a second are forgotten")
    wait_until(lambda: not rows(device), "all sources are forgotten")
    assert device.agent.dataplane_pid() == pid
    assert device.agent.status()["function"]["settings"]["idle"] == "1s"

    device.agent.config.write_text(configuration('idle = "2s"\nsources = 1024'))
    said = device.agent.refuse("config", "apply", device.agent.config)
    assert "sources" in said and "restart" in said, said
    assert device.agent.status()["function"]["settings"]["idle"] == "1s", "half of a refused change was applied"


def test_an_agent_that_takes_over_applies_the_live_settings_of_its_file(wire, programs):
    device = counting(wire)
    send(device, programs)
    pid = device.agent.dataplane_pid()
    device.agent.kill()
    device.agent.config.write_text(configuration('idle = "1s"'))
    device.agent.start()
    assert device.agent.dataplane_pid() == pid
    assert device.agent.status()["function"]["settings"]["idle"] == "1s"
    wait_until(lambda: not rows(device), "sources idle for a second are forgotten")


def test_a_broken_setting_is_refused_with_its_line(wire, world):
    device = counting(wire)
    for settings, words in (('idle = "never"', "idle"), ("sources = 1", "64"), ("sauces = 64", "sauces")):
        said = device.agent.refuse("config", "diff", world.write("other.toml", configuration(settings)))
        assert words in said, said
    assert device.agent.status()["function"]["settings"] == {"idle": "5m", "sources": 65536}


def test_prometheus_gets_its_counters(wire, programs):
    device = counting(wire)
    send(device, programs)
    text = ""

    def scraped():
        nonlocal text
        text = prometheus.fetch(device.dut, "http://127.0.0.1:9477/metrics")
        return f'counter="sources_created"}} {counters(device)["sources_created"]}\n' in text

    wait_until(scraped, lambda: text)
    assert 'sluice_function_total{' in text and 'function="count"' in text
