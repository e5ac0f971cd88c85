"""A process of the dataplane's user that is no dataplane: it lies in its greeting, says nothing, or answers nonsense.
The agent ends it, starts a dataplane of its own, and stays up.

The liar's messages are made by protoc, and it is told to the agent as the survivor of an earlier one by the state file.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

import pytest

from tests.lib import flowgen, snapshot
from tests.lib.agent import DATAPLANE_UID
from tests.lib.build import REPOSITORY
from tests.lib.command import run, wait_until

# argv: the agent's socket; a JSON file with "parts", a list of {"message": file, "fds": [kinds]}, and "then", the deed
# at the end. It connects again whenever the agent sends it away.
LIAR = """
import fcntl, json, os, socket, struct, sys, time

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

def memory(size, seals=SEALS, head=b""):
    fd = os.memfd_create("liar", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    os.pwrite(fd, head, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd

path, plan = sys.argv[1], json.load(open(sys.argv[2]))
stats = bytes.fromhex(plan["stats"])
make = {
    "stats": lambda: memory(1 << 23, head=stats),
    "unsealed stats": lambda: memory(1 << 23, 0, stats),
    "short stats": lambda: memory(4096, head=stats),
    "older stats": lambda: memory(1 << 23, head=stats[:4] + struct.pack("<I", struct.unpack("<I", stats[4:])[0] - 1)),
    "umem": lambda: memory(1 << 24),
    "short umem": lambda: memory(1 << 16),
    "file": lambda: os.open("/dev/zero", os.O_RDWR),
    "socket": lambda: socket.socket(socket.AF_UNIX).detach(),
}
while True:
    agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        agent.connect(path)
    except OSError:
        time.sleep(0.02)
        continue
    fds = []
    try:
        for part in plan["parts"]:
            fds = [make[kind]() for kind in part["fds"]]
            socket.send_fds(agent, [open(part["message"], "rb").read()], fds)
            if plan["then"] == "truncate":
                time.sleep(0.01)
                os.ftruncate(fds[0], 0)
            for fd in fds:
                os.close(fd)
        while plan["then"] == "answer":
            if not agent.recv(1 << 16):
                break
            agent.send(os.urandom(100))
        while agent.recv(1 << 16):
            pass
    except OSError:
        pass
    time.sleep(0.02)
"""

HELLO = """hello {{ contract_version: {version} configured: true
  configuration {{ function: "{function}" ports {{ name: "wan" }} poll: POLL_MODE_ADAPTIVE }}
  cores: 0 transmit_lanes: 1 held_lanes: {lanes} }}"""
FRESH = "hello {{ contract_version: {version} }}"
LANE = """held_lane {{ worker: {worker} lane {{ index: {index} kind: LANE_KIND_PAIR frame_count: 4096
  frame_size_bytes: {frame} sockets {{ port: {port} xskmap_key: {index} fill_size: 2048 completion_size: 2048
  rx_size: 2048 tx_size: 2048 }} }} }}"""
PROTO = "dataplane/contract/dataplane.proto"


def constant(path, name):
    return int(re.search(rf"{name} = (\w+)[,;]", (REPOSITORY / path).read_text()).group(1), 0)


VERSION = constant(PROTO, "CONTRACT_VERSION_CURRENT")


def hello(lanes=1, function="reflect", version=VERSION):
    return HELLO.format(lanes=lanes, function=function, version=version)


def lane(index=0, port=0, worker=0, frame=2048):
    return LANE.format(index=index, port=port, worker=worker, frame=frame)


LANE_FDS = ["umem", "socket", "file"]
# name: (message, descriptors), ...
LIES = {
    "port out of range": [(hello(), ["stats"]), (lane(port=1_000_000), LANE_FDS)],
    "lane out of range": [(hello(), ["stats"]), (lane(index=65), LANE_FDS)],
    "worker out of range": [(hello(), ["stats"]), (lane(worker=4_000_000_000), LANE_FDS)],
    "a lane twice": [(hello(lanes=2), ["stats"]), (lane(), LANE_FDS), (lane(), LANE_FDS)],
    "4 billion lanes": [(hello(lanes=4_000_000_000), ["stats"]), (lane(), LANE_FDS)],
    "fewer lanes than it says": [(hello(lanes=3), ["stats"]), (lane(), LANE_FDS)],
    "frames of an odd size": [(hello(), ["stats"]), (lane(frame=2**31), LANE_FDS)],
    "no stats segment": [(hello(), []), (lane(), LANE_FDS)],
    "missing descriptors": [(hello(), ["stats"]), (lane(), ["umem"])],
    "too many descriptors": [(hello(), ["stats"]), (lane(), LANE_FDS * 40)],
    "UMEM too short": [(hello(), ["stats"]), (lane(), ["short umem", "socket", "file"])],
    "another socket": [(hello(), ["stats"]), (lane(), LANE_FDS)],
    "another file": [(hello(), ["stats"]), (lane(), ["umem", "file", "file"])],
    "stats too short": [(hello(lanes=0), ["short stats"])],
    "stats that are no memory": [(hello(lanes=0), ["socket"])],
    "another function": [(hello(lanes=0, function="count"), ["stats", "umem"])],
    "no function": [(hello(lanes=0, function="\\033[2J"), ["stats"])],
    "stats of an older package": [(hello(lanes=0), ["older stats"])],
    "another version": [(hello(lanes=0, version=4_000_000_000), ["stats"])],
    "a lane before the greeting": [(lane(), LANE_FDS)],
    "garbage": [(b"\xff" * 300, [])],
    "descriptors and no greeting": [(b"x", ["file"] * 200)],
    "silence": [],
}


class Liar:
    def __init__(self, world, agent, parts, then="wait"):
        stats = constant("dataplane/contract/stats_segment.h", "kStatsMagic").to_bytes(4, "little")
        stats += constant("dataplane/contract/stats_segment.h", "kStatsVersion").to_bytes(4, "little")
        plan = {"stats": stats.hex(), "then": then, "parts": []}
        for number, (message, fds) in enumerate(parts):
            path = world.folder / f"message-{number}"
            path.write_bytes(encoded(message))
            plan["parts"].append({"message": str(path), "fds": fds})
        self.process = world.start(
            "setpriv", f"--reuid={DATAPLANE_UID}", f"--regid={DATAPLANE_UID}", "--clear-groups", "/usr/bin/python3",
            world.write("liar.py", LIAR), dataplane_socket(agent), world.write("plan.json", json.dumps(plan)))


def encoded(message):
    if isinstance(message, bytes):
        return message
    return subprocess.run(["protoc", "--encode=sluice.dataplane.Report", f"--proto_path={REPOSITORY}", PROTO],
                          input=message.encode(), capture_output=True, cwd=REPOSITORY, check=True).stdout


def dataplane_socket(agent):
    return agent.socket.with_name(agent.socket.stem + "-dataplane.sock")


def state_file(agent):
    return agent.socket.with_name(agent.socket.stem + "-state.json")


def tell_the_agent(device, liar):
    """Makes the liar the survivor, in the state file."""
    started = pathlib.Path(f"/proc/{liar.process.pid}/stat").read_text().rpartition(")")[2].split()[19]
    state = json.loads(state_file(device.agent).read_text())
    state_file(device.agent).write_text(json.dumps(
        {**state, "dataplanePid": liar.process.pid, "dataplaneStarted": started}))


def kill_both(device):
    """Kills agent and dataplane: nothing is left but the kernel's state and the state file."""
    device.agent.kill()
    for pid in device.dut.pids():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not device.dut.pids(), "no process left")


def works(device, programs, liar):
    wait_until(lambda: not liar.process.running(), "the liar's end")
    assert device.agent.dataplane_pid() != liar.process.pid
    report = flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=1000, settle=0.3)
    assert report["exact"], flowgen.words(report)


@pytest.mark.parametrize("lie", LIES)
def test_a_survivor_that_lies_is_replaced(reflector, world, programs, lie):
    device = reflector()
    before = snapshot.take(device.dut, world.pin_root)
    device.start()
    kill_both(device)
    liar = Liar(world, device.agent, LIES[lie])
    tell_the_agent(device, liar)
    device.agent.start()
    works(device, programs, liar)
    device.agent.stop()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


def test_stats_that_shrink_do_not_end_the_agent(reflector, world, programs):
    """Without seals the agent would read beyond the file's end: SIGBUS."""
    device = reflector().start()
    kill_both(device)
    liar = Liar(world, device.agent, [(hello(lanes=0), ["unsealed stats"])], then="truncate")
    tell_the_agent(device, liar)
    device.agent.start()
    works(device, programs, liar)


def test_a_successor_that_answers_nonsense_is_replaced(reflector, world, programs):
    """It comes to an agent that waits for a dataplane, which the test starts once the liar is gone."""
    device = reflector()
    device.agent.launch("--external-dataplane")
    wait_until(lambda: dataplane_socket(device.agent).exists(), "the socket")
    liar = Liar(world, device.agent, [(FRESH.format(version=VERSION), [])], then="answer")
    wait_until(lambda: not liar.process.running(), "the liar's end")
    world.start(*device.dut.enter("setpriv", f"--reuid={DATAPLANE_UID}", f"--regid={DATAPLANE_UID}", "--clear-groups",
                                  programs.dataplane, "--socket", dataplane_socket(device.agent)))
    wait_until(device.agent._ready, "sluice-agent serving")
    works(device, programs, liar)


def test_silent_ones_hold_up_neither_the_agent_nor_a_dataplane(reflector, world, programs):
    device = reflector().start()
    liars = [Liar(world, device.agent, []) for _ in range(10)]
    os.kill(device.agent.dataplane_pid(), signal.SIGKILL)
    slowest = 0.0
    wait_for = time.monotonic() + 3
    while time.monotonic() < wait_for:
        begin = time.monotonic()
        device.agent.status()
        slowest = max(slowest, time.monotonic() - begin)
    print(f"slowest status: {slowest:.2f} s")
    wait_until(lambda: device.agent.status()["dataplane"]["state"] == "running", "a new dataplane")
    assert device.agent.dataplane_pid() not in [liar.process.pid for liar in liars]
    assert slowest < 3, slowest  # each of them would have held it up for 5 s
    for liar in liars:
        liar.process.kill()
    assert flowgen.run(programs, **device.traffic(), rate=0, window=60, count=1000, settle=0.3)["exact"]


def test_another_user_is_not_read(reflector, world, programs):
    """The socket is the dataplane's user's alone; root, who may connect, is sent away and lives on."""
    device = reflector().start()
    pid = device.agent.dataplane_pid()
    root = world.start("/usr/bin/python3", "-c", "import socket, sys, time\n"
                       "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                       "s.connect(sys.argv[1])\n"
                       "try: s.send(b'x'); print('read', s.recv(10), flush=True)\n"
                       "except OSError as error: print(error, flush=True)\n"
                       "time.sleep(1000)",
                       dataplane_socket(device.agent))
    # The agent may hang up before this process sends, or after.
    wait_until(lambda: any(word in root.output() for word in ("read b''", "reset", "Broken pipe")), root.output)
    assert device.agent.dataplane_pid() == pid
    assert "is not the dataplane's user" in device.agent.process.output()
    stranger = run("setpriv", "--reuid=2000000002", "--regid=2000000002", "--clear-groups", "/usr/bin/python3", "-c",
                   "import socket, sys\nsocket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect(sys.argv[1])",
                   dataplane_socket(device.agent), check=False)
    assert "PermissionError" in stranger.stderr
    assert flowgen.run(programs, **device.traffic(), rate=0, window=60, count=1000, settle=0.3)["exact"]
