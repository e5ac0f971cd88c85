"""Cost to a packet of a thousand steering rules, against one rule and against none.

Runs the agent's own program and maps, on a veth port, packet by packet in the kernel (BPF_PROG_TEST_RUN by bpftool);
sluicectl writes the rules. Each round has every arm once. A figure is the time of the whole program in nanoseconds a
packet: parsing, the rules, counting, the redirect, with warm caches. Rules name protocol, source prefix and destination
ports, as an operator's do. The packets of an arm are UDP from 16 sources. In "last" the last rule matches them, in
"none" no rule does; in both cases they go to the dataplane. In "widest" each packet matches half of the rules by its
source and the other half by its port, so the program reads all words of the sets before it finds the last rule.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import subprocess
from pathlib import Path

from tests.bench.lib import figures
from tests.bench.lib.report import Report
from tests.bench.lib.table import Table
from tests.lib import build
from tests.lib.agent import Agent, config
from tests.lib.world import World

_SEED = 20120704
_PACKETS = 16
# The port of every arm's last rule; no other rule has it.
_LAST_PORT = 60_000
_WIDEST = -1000
_ARMS = {
    "no rules": (0, _LAST_PORT),
    "1 rule, last": (1, _LAST_PORT),
    "1 rule, none": (1, _LAST_PORT + 1),
    "1,000 rules, last": (1000, _LAST_PORT),
    "1,000 rules, none": (1000, _LAST_PORT + 1),
    "1,000 rules, widest": (_WIDEST, _LAST_PORT),
}
_COMPARED = (("1,000 rules, last", "1 rule, last"), ("1,000 rules, widest", "1 rule, last"),
             ("1,000 rules, none", "1 rule, none"), ("1 rule, none", "no rules"), ("1,000 rules, none", "no rules"))


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=15, help="of every arm (15)")
    parser.add_argument("--repeat", type=int, default=100_000, metavar="N", help="runs of each packet (100000)")


def _rule(source: str, first: int, last: int) -> str:
    return f'[[rule]]\nproto = "udp"\nsrc = "{source}"\ndst_port = "{first}-{last}"\naction = "dataplane"\n'


def _rules(count: int, numbers: random.Random) -> str:
    """Returns `count` rules; the last matches port _LAST_PORT from 10.0.0.0/8, the others match no packet of ours."""
    rules = []
    for _ in range(count - 1):
        first = numbers.randrange(1024, 50_000)
        rules.append(_rule(f"10.{numbers.randrange(256)}.{numbers.randrange(256)}.0/24", first, first + 100))
    return "".join(rules) + _rule("10.0.0.0/8", _LAST_PORT, _LAST_PORT)


def _widest(count: int) -> str:
    """Returns rules as _rules() does, but every other one matches the packets' source and not their port, and the rest
    match their port and not their source."""
    rules = [_rule("10.0.0.0/8", 1, 100 + i) if i % 2 else _rule("11.0.0.0/8", _LAST_PORT - 1 - i, _LAST_PORT + 1 + i)
             for i in range(count - 1)]
    return "".join(rules) + _rule("10.0.0.0/8", _LAST_PORT, _LAST_PORT)


def _packet(mac: str, numbers: random.Random, port: int) -> bytes:
    """Returns a UDP packet of 60 bytes, without FCS; its checksums are 0, since the program reads none."""
    source = bytes([10, *(numbers.randrange(256) for _ in range(3))])
    ethernet = bytes.fromhex(mac.replace(":", "")) + b"\x02\0\0\0\0\1" + b"\x08\0"
    udp = struct.pack("!HHHH", numbers.randrange(1024, 65536), port, 26, 0) + bytes(18)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, source, bytes([192, 0, 2, 1]))
    return ethernet + ip + udp


class Bed:
    """An agent with function reflect on one end of a veth pair, and packets in files."""

    def __init__(self, world: World, repeat: int) -> None:
        self.repeat = repeat
        numbers = random.Random(_SEED)
        self.far, self.dut = world.netns("far"), world.netns("dut")
        world.veth(self.far, "a0", self.dut, "wan0", queues=1)
        self.agent = Agent(world, build.Programs(), self.dut, config({"wan": "wan0"}, "reflect")).start()
        link = self.dut.json("ip", "-j", "-d", "link", "show", "wan0")[0]
        self.program = link["xdp"]["prog"]["id"]
        self.sets = {count: world.write(f"rules-{count}", _rules(count, numbers) if count else "# none\n")
                     for count in (0, 1, 1000)}
        self.sets[_WIDEST] = world.write("rules-widest", _widest(-_WIDEST))
        self.packets = {port: [self._file(world, port, i, _packet(self.dut.mac("wan0"), numbers, port))
                               for i in range(_PACKETS)] for port in (_LAST_PORT, _LAST_PORT + 1)}

    @staticmethod
    def _file(world: World, port: int, number: int, content: bytes) -> Path:
        path = world.folder / f"packet-{port}-{number}"
        path.write_bytes(content)
        return path

    def measure(self, rules: int, port: int) -> float:
        """Returns the nanoseconds a packet, as the mean over all packets."""
        self.agent.ctl("rules", "replace", self.sets[rules])
        total = 0
        for file in self.packets[port]:
            words = ["bpftool", "-j", "prog", "run", "id", str(self.program), "data_in", str(file), "repeat",
                     str(self.repeat)]
            total += json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)["duration"]
        return total / _PACKETS


def measure(chosen: argparse.Namespace, report: Report) -> None:
    with World() as world:
        bed = Bed(world, chosen.repeat)
        times: dict[str, list[float | None]] = {name: [] for name in _ARMS}
        for number in range(1, chosen.rounds + 1):
            for name, (rules, port) in _ARMS.items():
                times[name].append(bed.measure(rules, port))
            report.say(f"round {number}: " + ", ".join(f"{name} {made[-1]:.0f} ns" for name, made in times.items()))
        bed.agent.stop()
    table = Table("Rules: the steering program, ns a packet", ("arm", "rounds", "q1", "median", "q3"))
    for name, made in times.items():
        quartiles = figures.quartiles(made)
        assert quartiles is not None
        table.add(name, quartiles.rounds, *quartiles[:3])
    ratios = Table("Rules, round by round", ("ratio", "rounds", "q1", "median", "q3"))
    for arm, base in _COMPARED:
        quartiles = figures.quartiles(figures.ratios(times[base], times[arm]))
        assert quartiles is not None
        ratios.add(f"{arm} / {base}", quartiles.rounds, *quartiles[:3])
    report.table(table)
    report.table(ratios)
    report.keep("rules", times)
