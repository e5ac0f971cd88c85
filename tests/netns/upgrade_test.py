"""A package that is upgraded while the function runs: the next agent meets programs, or a dataplane, of an older
version. It says so, and starts the function anew. Greetings and counters of another version are in
lying_dataplane_test.py.
"""

import re
import shutil
import struct

from tests.lib import build, flowgen, snapshot
from tests.lib.command import run

PROGRAM = "sluice_steer.bpf.o"


def older(bpf, folder):
    """Copies the BPF objects; the steering program of the copy says that its version is one less."""
    copy = folder / "older"
    copy.mkdir()
    for path in bpf.glob("*.bpf.o"):
        shutil.copy(path, copy)
    path = copy / PROGRAM
    symbol = re.search(r":\s+(\w+)\s+4\s+OBJECT\s+\w+\s+\w+\s+(\d+) sluice_abi_version",
                       run("readelf", "-sW", path).stdout)
    section = re.search(rf"\[\s*{symbol[2]}\] \S+\s+PROGBITS\s+\w+\s+(\w+)", run("readelf", "-SW", path).stdout)
    at = int(section[1], 16) + int(symbol[1], 16)
    content = bytearray(path.read_bytes())
    version, = struct.unpack_from("<I", content, at)
    struct.pack_into("<I", content, at, version - 1)
    path.write_bytes(content)
    return copy


class OlderPrograms(build.Programs):
    def __init__(self, bpf):
        super().__init__()
        self.older = bpf

    @property
    def bpf(self):
        return self.older


def test_an_agent_of_another_version_starts_anew(wire, world, programs):
    device = wire(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.agent.programs = OlderPrograms(older(programs.bpf, world.folder))
    device.start()
    device.agent.ctl("rules", "add", "pass", "proto=tcp", "dst_port=22")
    rules = [rule["fields"] for rule in device.agent.ask("rules")["rules"]]
    dataplane = device.agent.dataplane_pid()
    device.agent.kill()
    device.agent.programs = programs
    device.agent.start()
    assert "another version" in device.agent.process.output()
    assert device.agent.dataplane_pid() != dataplane
    assert [rule["fields"] for rule in device.agent.ask("rules")["rules"]] == rules
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=1000, settle=0.3)
    assert report["exact"], flowgen.words(report)
    device.agent.settled()
    device.agent.stop()
    assert not device.dut.pids()
    assert not snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
