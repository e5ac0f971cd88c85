"""The self-test of a port at the agent's start: it passes on a device that works, in either mode of XDP, and refuses
one on which frames do not reach the dataplane.

The failures are made in the XSKMAP, by a process in the dataplane's place that agrees to every request.
"""

import pytest

from tests.lib import flowgen, protojson, snapshot
from tests.lib.agent import DATAPLANE_UID
from tests.lib.command import wait_until
from tests.netns.lying_dataplane_test import FRESH, VERSION, dataplane_socket, encoded

# argv: the agent's socket; the greeting; the way to enter sockets: "none", "swapped", or "deaf", which enters them
# right and receives nothing.
YES_SAYER = """
import ctypes, os, socket, struct, sys

BPF, MAP_UPDATE_ELEM = 321, 2
syscall = ctypes.CDLL(None, use_errno=True).syscall

def enter(xskmap, key, sock):
    key, value = ctypes.c_uint32(key), ctypes.c_int(sock)
    attr = struct.pack("<IIQQQ", xskmap, 0, ctypes.addressof(key), ctypes.addressof(value), 0)
    if syscall(BPF, MAP_UPDATE_ELEM, attr, len(attr)) != 0:
        sys.exit("bpf: " + os.strerror(ctypes.get_errno()))

def number_of(request):  # field 1, a varint
    number, shift = 0, 0
    for byte in request[1:]:
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return request[:1 + shift // 7]

agent = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
agent.connect(sys.argv[1])
agent.send(open(sys.argv[2], "rb").read())
lanes = []
while True:
    request, fds, _, _ = socket.recv_fds(agent, 1 << 16, 64)
    if not request:
        break
    number = number_of(request)
    if request[len(number)] == 3 << 3 | 2:  # AddLane
        lanes.append(fds)
        if len(lanes) == 2 and sys.argv[3] != "none":
            swapped = sys.argv[3] == "swapped"
            for lane in (0, 1):
                enter(lanes[lane][2], 1 - lane if swapped else lane, lanes[lane][1])
    agent.send(struct.pack("BB", 3 << 3 | 2, len(number)) + number)  # Report.reply
"""
FAULTS = {
    "none": "XDP finds no socket",
    "swapped": "is bound to queue 1",
    "deaf": "the dataplane received none",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_frames_that_do_not_arrive_are_a_refusal(reflector, world, fault):
    device = reflector(queue_pairs=2)
    before = snapshot.take(device.dut, world.pin_root)
    device.agent.launch("--external-dataplane")
    wait_until(lambda: dataplane_socket(device.agent).exists(), "the socket")
    yes_sayer = world.start(
        "setpriv", f"--reuid={DATAPLANE_UID}", f"--regid={DATAPLANE_UID}", "--clear-groups", "/usr/bin/python3",
        world.write("yes.py", YES_SAYER), dataplane_socket(device.agent), greeting(world), fault)
    assert device.agent.process.wait() == 1, device.agent.process.output()
    said = device.agent.process.output()
    assert "port wan0: the self-test failed at queue 0: " in said and FAULTS[fault] in said, said
    yes_sayer.kill()
    changed = snapshot.differences(before, snapshot.take(device.dut, world.pin_root))
    assert not changed, "\n".join(changed)


def greeting(world):
    path = world.folder / "greeting"
    path.write_bytes(encoded(FRESH.format(version=VERSION)))
    return path


def finding(agent):
    done = agent.ctl("doctor", "-o", "json", check=False)
    return [(found["port"], found["severity"], found["what"])
            for found in protojson.loads(done.stdout)["findings"] if found["check"] == "self_test"]


@pytest.mark.parametrize("mode", ["copy", "skb"])
def test_a_device_that_works_passes(wire, programs, mode):
    device = wire(queue_pairs=2, dataplane={"mode": mode}).start()
    works = "XDP finds the sockets of 2 queues, and a frame on queue 0 reached the dataplane with its VLAN tag"
    assert finding(device.agent) == [("wan", "SEVERITY_OK", works), ("lan", "SEVERITY_OK", works)]
    print([line for line in device.agent.process.output().splitlines() if "self-test" in line])
    status = device.agent.status()
    assert status["balance"]["received"] == 0 and status["balance"]["unaccounted"] == 0
    assert flowgen.run(programs, **device.traffic(), rate=1000, count=500, window=60)["exact"]
    assert device.agent.settled()["balance"]["unaccounted"] == 0
    device.agent.kill()
    device.agent.start()
    assert [(port, severity) for port, severity, _ in finding(device.agent)] == [
        ("wan", "SEVERITY_NOTE"), ("lan", "SEVERITY_NOTE")], "its port steers, so it was not tested"
