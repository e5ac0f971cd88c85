"""A state file that is lost, broken or lying. It is a hint: the agent starts, finds the dataplane that carries traffic
by the kernel and by its greeting, and touches no process and no file that is not its own."""

import json
import os
import signal

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.command import run, wait_until

PAIRS = 4  # the device's own number, so that nothing is to be put back


def state_file(agent):
    return agent.socket.with_name(agent.socket.stem + "-state.json")


def exact(device, programs):
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=1000, settle=0.3)
    assert report["exact"], flowgen.words(report)


def text(change):
    """Makes a function that rewrites the file's text."""
    return lambda path, _: path.write_text(change(path.read_text()))


def state(**changes):
    return lambda path, _: path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def port(**changes):
    def change(path, _):
        saved = json.loads(path.read_text())
        saved["ports"][0].update(changes)
        path.write_text(json.dumps(saved))
    return change


def fifo(path, _):
    path.unlink()
    os.mkfifo(path)


def folder(path, _):
    path.unlink()
    path.mkdir()


def foreign_file(path, world):
    """Files that placing queues could be made to write."""
    victim = world.write("victim", "as it was")
    port(affinity={str(victim): "0", "/proc/sys/kernel/core_pattern": "|/bin/false"})(path, world)


LIES = {
    "gone": lambda path, _: path.unlink(),
    "empty": text(lambda _: ""),
    "truncated": text(lambda all: all[:len(all) // 2]),
    "random": lambda path, _: path.write_bytes(os.urandom(5000)),
    "another JSON": text(lambda _: '{"hello": [1, 2, 3]}'),
    "nothing in it": text(lambda _: "{}"),
    "deep": text(lambda _: '{"ports":' + "[" * 500_000),
    "100,000 ports": state(ports=[{"netdev": f"x{i}", "queuePairs": 1} for i in range(100_000)]),
    "large": text(lambda _: " " * (20 << 20)),
    "a FIFO": fifo,
    "a folder": folder,
    "63 pairs": lambda path, world: (port(queuePairs=63)(path, world), state(activePairs=63)(path, world)),
    "0 pairs": port(queuePairs=0),
    "one pair in use": state(activePairs=1),
    "another device": port(netdev="lo"),
    "a path for a device": port(netdev="../../../etc/passwd"),
    "entries of RSS": port(rssTable=[99] * 128),
    "files of others": foreign_file,
    "pid 1": state(dataplanePid=1),
    "pid 0": state(dataplanePid=0),
    "a pid that there is not": state(dataplanePid=4_194_000),
    "a pid out of range": state(dataplanePid=4_294_967_295),
    "a resize that was not": state(resize={"method": "channels", "from": 63, "to": 64}),
    "a resize without a name": state(resize={"method": "\u001b[2J", "from": 1, "to": 2}),
    "a list that there is not": state(listChange={"list": 7, "replaced": True}),
    "prefixes that are none": state(listChange={"added": ["\u001b[2J"]}),
    "a former list that is lost": state(formerLists=[{"list": 0, "hadFormer": True}]),
    "a change of another boot": state(listChange={"removed": ["192.0.2.0/24", "nonsense"], "deadlineNs": "9" * 18}),
    "rules": state(rules=[{"id": 5, "hits": 4_000_000_000}], nextRuleId=6),
}


# The rest of the file is believed, and so the CPUs of the queues are put back, which only the file knows.
KNOWN = ("63 pairs", "one pair in use", "entries of RSS", "pid 1", "pid 0", "a pid that there is not",
         "a resize that was not", "a former list that is lost", "a change of another boot")


@pytest.mark.parametrize("lie", LIES)
def test_the_dataplane_is_found_all_the_same(reflector, world, programs, lie):
    device = reflector(queue_pairs=PAIRS)
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    pid = device.agent.dataplane_pid()
    device.agent.kill()
    LIES[lie](state_file(device.agent), world)
    device.agent.start()
    assert device.agent.dataplane_pid() == pid
    assert device.agent.port("wan")["queue_pairs"]["current"] == PAIRS
    exact(device, programs)
    device.agent.settled()
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert [part for part in changed if lie in KNOWN or not part.startswith("xps:")] == [], "\n".join(changed)
    victim = world.folder / "victim"
    assert not victim.exists() or victim.read_text() == "as it was"


def test_a_foreign_process_is_neither_waited_for_nor_ended(reflector, world, programs):
    device = reflector(queue_pairs=PAIRS).start()
    foreign = [world.start("sleep", "1000"),
               world.start("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sleep", "1000")]
    for process in foreign:
        device.agent.kill()
        for pid in device.dut.pids():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not device.dut.pids(), "no process left")
        state(dataplanePid=process.pid, dataplaneStarted=0)(state_file(device.agent), world)
        device.agent.start()
        exact(device, programs)
    assert all(process.running() for process in foreign)


def test_without_state_a_survivor_can_be_resized_and_stopped(reflector, world, programs):
    device = reflector(queue_pairs=2).start()
    device.agent.kill()
    state_file(device.agent).unlink()
    device.agent.start()
    device.resize(PAIRS)
    exact(device, programs)
    device.agent.stop()
    assert not device.dut.pids()
    assert run("ls", device.agent.pin_root, check=False).returncode != 0, "maps are left"
    links = [link["ifname"] for link in device.dut.json("ip", "-j", "link")]
    assert not [name for name in links if name.startswith("slu")], links
    assert "xdp" not in device.dut.json("ip", "-j", "-d", "link", "show", "wan0")[0]
    assert "clsact" not in device.dut.run("tc", "qdisc", "show", "dev", "wan0").stdout
