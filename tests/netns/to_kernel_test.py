"""A network function that gives frames to the kernel: through it the device's own stack answers as on any host.

The dataplane is the product's, with a function of the tests: it reflects UDP over IPv4 and gives the rest to the kernel
(tests/dataplane/to_kernel_function.cc). XDP itself passes nothing: a rule gives every packet to the function.
"""

import hashlib
import os
import signal

import pytest

from tests.lib import build, flowgen, snapshot
from tests.lib.command import wait_until

EVERY_PACKET = '[[rule]]\nin_port = "wan"\naction = "dataplane"\n'
DUT, GEN = "192.0.2.2", "192.0.2.1"
DUT6, GEN6 = "2001:db8::2", "2001:db8::1"


class WithToKernel(build.Programs):
    @property
    def dataplane(self):
        return self.to_kernel_dataplane


def host(reflector, **options):
    """Returns a started device with addresses on both sides of its port."""
    device = reflector(more=EVERY_PACKET, **options)
    device.agent.programs = WithToKernel()
    for netns, netdev, v4, v6 in ((device.gen, "a0", GEN, GEN6), (device.dut, "wan0", DUT, DUT6)):
        netns.run("ip", "addr", "add", f"{v4}/24", "dev", netdev)
        netns.run("sysctl", "-qw", f"net.ipv6.conf.{netdev}.disable_ipv6=0")
        netns.run("ip", "addr", "add", f"{v6}/64", "dev", netdev, "nodad")
    device.start()
    return device


def ping(device, address=DUT, count=10, *options):
    # With -w, -c counts replies: ping succeeds once all have come, even late ones.
    device.gen.run("ping", "-c", count, "-w", 90, "-i", 0.05, *options, address)


def download(device, amount):
    """Downloads `amount` bytes over TCP from a web server on the device, and compares them."""
    content = os.urandom(amount)
    (device.world.folder / "www").mkdir(exist_ok=True)
    (device.world.folder / "www" / "file").write_bytes(content)
    server = device.dut.start("/usr/bin/python3", "-m", "http.server", "--bind", DUT, "--directory",
                              device.world.folder / "www", "8000")
    wait_until(lambda: ":8000" in device.dut.run("ss", "-Hltn").stdout, "a web server")
    got = device.gen.run("/usr/bin/python3", "-c",
                         "import hashlib, urllib.request as r; "
                         f"print(hashlib.sha256(r.urlopen('http://{DUT}:8000/file').read()).hexdigest())").stdout
    server.stop()
    assert got.strip() == hashlib.sha256(content).hexdigest()


def check_law(device):
    """Checks that the balance holds, that all passed frames reached the stack, and that it got no others."""
    status = device.agent.settled()
    wan = status["ports"][0]
    assert status["balance"]["passed"] == wan["to_kernel"] > 0, status
    assert wan["to_kernel_strays"] == 0, status
    for queue in [*wan["queues"], *wan.get("closed_queues", [])]:
        assert not {"pass", "down_pass", "malformed"} & set(queue.get("xdp_packets", {})), status
    return status["balance"]


@pytest.mark.parametrize("mode", ["copy", "skb"])
def test_the_stack_answers_as_on_any_host(reflector, programs, mode):
    """ARP, neighbour discovery, echoes and TCP work during traffic that the function sends back."""
    device = host(reflector, queue_pairs=2, dataplane={"mode": mode})
    with flowgen.Background(programs, **device.traffic(), flows=16, rate=500, settle=1) as traffic:
        ping(device)
        ping(device, DUT6)
        ping(device, DUT, 3, "-s", "1472", "-M", "do")
        download(device, 1 << 20)
        report = traffic.stop()
    assert report["exact"], flowgen.words(report)
    balance = check_law(device)
    assert balance["dropped"] == 0, balance
    assert balance["transmitted"] == report["total"]["sent"]


def test_connections_outlive_resizes(reflector):
    """While XDP is off, frames come over the bridge and go back into it."""
    device = host(reflector, queue_pairs=1)
    pinging = device.gen.start("ping", "-c", 200, "-w", 120, "-i", 0.05, DUT)
    for pairs in (4, 2, 3, 1):
        device.resize(pairs, "--method", "channels")
        download(device, 200_000)
    assert pinging.wait() == 0, pinging.output()
    check_law(device)


def test_a_new_dataplane_and_a_new_agent_go_on(reflector):
    device = host(reflector, queue_pairs=2, on_dataplane_down="hold")
    ping(device)
    old = device.agent.dataplane_pid()
    os.kill(old, signal.SIGKILL)
    wait_until(lambda: device.agent.status()["dataplane"]["state"] == "running" and device.agent.dataplane_pid() != old,
               "another dataplane")
    ping(device)
    device.agent.kill()
    ping(device)
    device.agent.start()
    ping(device)
    download(device, 100_000)
    check_law(device)


def test_nothing_is_left_behind(reflector):
    device = reflector(queue_pairs=2, more=EVERY_PACKET)
    device.agent.programs = WithToKernel()
    before = snapshot.take(device.dut, device.agent.pin_root)
    device.start()
    device.agent.stop()
    assert not snapshot.differences(before, snapshot.take(device.dut, device.agent.pin_root))
