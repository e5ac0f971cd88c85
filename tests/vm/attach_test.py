"""The second way to use Sluice: xdp-loader attaches the program and the agent adopts it, also with other programs; and
the self-test of a port that is attached."""

import pytest

from tests.lib import protojson
from tests.lib.command import wait_until
from tests.lib.vm import booted

LOAD = """mkdir -p /sys/fs/bpf/sluice
xdp-loader load -m native -p /sys/fs/bpf/sluice/eth0 eth0 /usr/lib/sluice/sluice_steer.bpf.o
"""


def test_the_agent_adopts_what_xdp_loader_attached():
    """The agent uses the program that is attached, and leaves it when it ends."""
    with booted("6.12") as vm:
        vm.guest.run(LOAD).check()
        before = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" in before
        function = vm.start("reflect")
        assert function.status()["ports"][0]["xdp"]["attached_by"] == "xdp-loader"
        assert "a frame on queue 0 reached the dataplane" in self_test(function)
        with vm.stream("--count", "200", "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"]
        function.resize(4).check()
        assert function.stop().rc == 0, function.agent.output()
        assert vm.guest.run("xdp-loader status eth0").check().out == before


def test_beside_another_program_a_channels_resize_needs_force():
    """The dispatcher runs xdp-filter and our program. The window takes both off, so it needs --force."""
    with booted("6.12") as vm:
        vm.guest.run("xdp-filter load --mode native eth0").check()
        function = vm.start("reflect")
        assert function.status()["ports"][0]["xdp"]["other_programs"] == 1
        assert "a frame on queue 0 reached the dataplane" in self_test(function), "through the dispatcher"
        refused = function.ctl("queues", "set", "4")
        assert refused.rc == 1 and "--force" in refused.out
        function.resize(4, "--force").check()
        status = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" in status and "xdpfilt" in status
        with vm.stream("--count", "200", "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"]
        assert function.stop().rc == 0, function.agent.output()
        left = vm.guest.run("xdp-loader status eth0").check().out
        assert "sluice_steer" not in left and "xdpfilt" in left


def test_a_program_that_joins_takes_no_traffic_to_idle_pairs():
    """It makes a new dispatcher, and a device forgets its RSS table whenever a program is attached."""
    with booted("6.12", rss=True) as vm:
        function = vm.start("reflect", queue_pairs=4)
        function.resize(2).check()
        vm.guest.run("xdp-filter load --mode native eth0").check()
        wait_until(lambda: function.status()["ports"][0]["xdp"]["other_programs"] == 1, "the program is seen")
        before = [queue["rx_packets"] for queue in function.status()["ports"][0]["queues"]]
        with vm.stream("--count", "600", "--window", "16", flows=64, rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"]
        queues = function.status()["ports"][0]["queues"]
        got = [queue["rx_packets"] - then for queue, then in zip(queues, before)]
        assert got[2:] == [0, 0] and min(got[:2]) > 0, got
        assert function.stop().rc == 0, function.agent.output()


def test_without_a_way_through_the_dispatcher_the_self_test_is_left_out():
    """xdp-filter that denies by default keeps the frame: no fault of the device, and no refusal."""
    with booted("6.12") as vm:
        vm.guest.run("xdp-filter load --mode native --policy deny eth0").check()
        function = vm.start("reflect", queue_pairs=4)
        assert "another program of its XDP dispatcher keeps the frame" in self_test(function)
        assert function.stop().rc == 0, function.agent.output()


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7"])
def test_a_port_is_tested_before_it_steers(kernel):
    """The frames of the self-test are in no balance."""
    with booted(kernel, nics=2) as vm:
        function = vm.start("forward", ports=2, queue_pairs=4)
        assert "XDP finds the sockets of 4 queues, and a frame on queue 0 reached the dataplane" in self_test(function)
        balance = function.status()["balance"]
        assert balance["received"] == 0 and balance["unaccounted"] == 0
        print([line for line in function.agent.output().splitlines() if "self-test" in line])
        assert function.stop().rc == 0, function.agent.output()


def self_test(function):
    """Returns the doctor's words about the first port's self-test."""
    findings = protojson.loads(function.ctl("doctor", "-o", "json").out)["findings"]
    return next(finding["what"] for finding in findings if finding["check"] == "self_test")
