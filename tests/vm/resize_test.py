"""Resizing a guest under traffic, on every supported kernel."""

import time

import pytest

from tests.lib.command import run, wait_until
from tests.lib.vm import booted, wait_still

# Kernel, options of the device, and the mode that the sockets must have.
MATRIX = [
    pytest.param("6.1", {}, "copy", id="6.1-copy"),
    pytest.param("6.12", {}, "copy", id="6.12-copy"),
    pytest.param("7", {}, "copy", id="7-copy"),
    pytest.param("7", {"zero_copy": True}, "zerocopy", id="7-zerocopy"),
]


def exact_while(vm, function, sizes, *options, **traffic):
    """Resizes to each of `sizes` under traffic, and checks that no packet is lost, doubled or out of order.

    Only packets that the agent reports as unproven may be out of order; there are none unless the machine kept the
    guest from running. `options` have a --window, so that no queue on the way overflows even then.
    """
    unproven = 0
    with vm.stream(*options, flows=32, **traffic) as stream:
        time.sleep(1)
        for size in sizes:
            function.resize(size).check()
            unproven += function.status()["last_resize"]["reordered"]
            time.sleep(0.3)
        time.sleep(0.7)
    counts = tuple(stream.total[key] for key in ("lost", "duplicated", "corrupted"))
    assert counts == (0, 0, 0), whereabouts(vm, function, stream)
    print(f"{stream.total}, at most {unproven} reordered by us")
    assert stream.total["reordered"] <= unproven, stream.total
    assert stream.total["received"] > 0
    assert_accounted(function, stream)


def whereabouts(vm, function, stream):
    """Returns all counters on a packet's way, which show where the missing ones ended."""
    taps = ["ip", "-n", vm.net.name, "-s", "-s", "link", "show"]
    devices = vm.guest.run("for i in 0 1; do ethtool -S eth$i; done | grep -v ': 0$'").out
    said = [stream.report, function.status(), devices, run(*taps).stdout, function.agent.output()]
    return "\n".join(str(part) for part in said)


def assert_accounted(function, stream):
    """Checks that the dataplane dropped nothing, and that every packet it sent came back or was a steering probe."""
    status = wait_still(function)
    balance = status["balance"]
    drops = [queue["drops"] for port in status["ports"] for queue in [*port["queues"], port["bridge"]]]
    told = f"restarts {status['dataplane']['restarts']}, drops {drops}, {stream.total}\n{function.agent.output()}"
    assert balance["dropped"] == 0, told
    sent = balance["transmitted"] + balance["offloaded"]
    assert sent == stream.total["received"] + balance["originated"], told


@pytest.mark.parametrize("kernel, nic, mode", MATRIX)
def test_channels(kernel, nic, mode):
    """1 -> 4 -> 2 -> 1 under traffic in a closed loop: no queue on the way overflows, so any loss is ours."""
    with booted(kernel, **nic) as vm:
        before = vm.kernel_state()
        function = vm.start("reflect")
        queue = function.status()["ports"][0]["queues"][0]
        # The socket was bound before any packet came, so the reason is known too.
        assert queue["mode"] == mode, queue["mode_reason"]
        stack_before, descriptors = vm.stack_packets(), agents_descriptors(vm)
        exact_while(vm, function, [4, 2, 1], "--window", "32", rate=1000)
        status = function.status()
        assert status["ports"][0]["queue_pairs"]["current"] == 1
        assert (status["last_resize"]["result"], status["last_resize"]["lost"]) == ("done", 0)
        assert "rx_drops" in status["ports"][0], "this kernel's driver has other names for its counters"
        assert "Combined:\t1" in vm.guest.run("ethtool -l eth0 | tail -4").out.replace("  ", "")
        assert vm.stack_packets() == stack_before
        wait_until(lambda: agents_descriptors(vm) == descriptors,
                   lambda: f"{descriptors} became {agents_descriptors(vm)}")
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before


def agents_descriptors(vm):
    """Returns the number of open descriptors; it may include one that is about to be closed."""
    return vm.guest.run("ls /proc/$(pidof sluice-agent)/fd 2>/dev/null | wc -l").out.strip()


def test_channels_are_exact_for_flows_that_nothing_answers():
    """Flows go one way through `forward`. Steering probes move them to the pairs that stay before the others close."""
    with booted("6.12", nics=2) as vm:
        function = vm.start("forward", ports=2, queue_pairs=4)
        exact_while(vm, function, [1, 4, 1, 4], "--window", "32", rx=vm.net.taps[1], rate=300)
        assert function.status()["balance"]["originated"] > 0
        assert "still receive" not in function.agent.output(), function.agent.output()


@pytest.mark.parametrize("kernel, nic", [("6.12", {}), ("7", {"zero_copy": True})], ids=["copy", "zerocopy"])
def test_spread_is_exact(kernel, nic):
    """Flows go one way through `forward`, so that the host has no reason to move one."""
    with booted(kernel, rss=True, nics=2, **nic) as vm:
        function = vm.start("forward", ports=2, queue_pairs=4)
        exact_while(vm, function, [1, 4, 2, 3] * 3, "--window", "60", rate=3000, rx=vm.net.taps[1])
        assert function.status()["last_resize"]["method"] == "spread"


def test_ports_of_unequal_ability_copy():
    """Only one port has zero-copy, and a lane's ports share one mode, so with "auto" all of them copy."""
    with booted("7", nics=2, each=[{"iommu_platform": True}, {}]) as vm:
        function = vm.start("forward", ports=2)
        function.resize(2).check()
        queues = [queue for port in function.status()["ports"] for queue in port["queues"]]
        assert {queue["mode"] for queue in queues} == {"copy"}, queues
        assert all("no zero-copy" in queue["mode_reason"] for queue in queues), queues
        with vm.stream("--count", "500", "--window", "16", rx=vm.net.taps[1]) as stream:
            stream.finish(stop=False)
        assert (stream.total["received"], stream.total["duplicated"]) == (500, 0)


def test_zero_copy_that_sends_stray_headers_is_not_used():
    """virtio_net is a module in Debian's kernels (virtio_device.h: SendsStrayZeroCopyHeaders)."""
    with booted("7", iommu_platform=True) as vm:
        function = vm.start("reflect", queue_pairs=2)
        queues = function.status()["ports"][0]["queues"]
        assert [(queue["mode"], "loadable module" in queue["mode_reason"]) for queue in queues] == [("copy", True)] * 2
        assert "loadable module" in function.ctl("doctor").out
        # A successor does not try zero-copy again on queues that carry packets.
        vm.guest.run("kill -9 $(pidof sluice-agent)").check()
        function.start()
        exact_while(vm, function, [4, 1], "--window", "32", rate=500)
        assert "all lanes copy" not in function.agent.output(), function.agent.output()
        assert [queue["mode"] for queue in function.status()["ports"][0]["queues"]] == ["copy"]


def test_new_flows_use_every_pair():
    """With four pairs the device spreads flows that it has not seen yet over all of them."""
    with booted("6.12") as vm:
        function = vm.start("reflect", queue_pairs=4)
        with vm.stream("--count", "2000", "--window", "64", flows=64, rate=500) as stream:
            stream.finish(stop=False)
        queues = function.status()["ports"][0]["queues"]
        assert all(queue["rx_packets"] > 0 for queue in queues), [queue["rx_packets"] for queue in queues]
        assert stream.total["duplicated"] == 0


def test_running_flows_move_to_new_pairs():
    """After growing, each old flow is sent by its own lane, and the device moves it to that lane."""
    with booted("6.12") as vm:
        function = vm.start("reflect", queue_pairs=1)
        with vm.stream("--window", "32", flows=32, rate=300) as stream:
            time.sleep(1)
            function.resize(4).check()
            at_first = received_by_pair(function)
            wait_until(lambda: all(late > early + 50 for late, early in zip(received_by_pair(function), at_first)),
                       lambda: f"{at_first} became {received_by_pair(function)}")
            # Hand-offs end once the flows have moved.
            wait_until(lambda: "frames leave by 4 lanes, each" not in last_words(function, "frames leave by"),
                       function.agent.output)
        assert (stream.total["duplicated"], stream.total["corrupted"]) == (0, 0)
        assert_accounted(function, stream)


def received_by_pair(function):
    """Returns the packets of each pair, those of offloaded flows included."""
    queues = function.status()["ports"][0]["queues"]
    return [queue["rx_packets"] + queue["xdp_packets"].get("offloaded", 0) for queue in queues]


def last_words(function, about):
    """Returns the last line with these words in the log of agent and dataplane."""
    return [line for line in function.agent.output().splitlines() if about in line][-1]


def test_spread_on_a_device_with_rss():
    """With RSS pairs stay open and XDP attached; idle pairs get nothing. The pairs on which packets land also show
    whether the device uses its table at all, which `ethtool -x` cannot."""
    with booted("6.12", rss=True) as vm:
        untouched = vm.kernel_state()
        function = vm.start("reflect", queue_pairs=4)
        by_table = landed_on(vm, function)
        assert "spread" in function.ctl("queues", "set", "2", "--dry-run").check().out
        with vm.stream(flows=64, rate=500) as stream:
            time.sleep(1)
            function.resize(2).check()
            # Packets that the device had put on the old queues before it took the new table have been received by now.
            before = received_by_pair(function)
            wait_until(lambda: all(late > early + 50 for late, early in zip(received_by_pair(function)[:2], before)),
                       lambda: f"{before} became {received_by_pair(function)}")
            status = function.status()
        assert status["last_resize"]["method"] == "spread"
        assert status["ports"][0]["queue_pairs"] == {"current": 2, "max": 4, "wanted": 2, "open": 4}
        assert received_by_pair(function)[2:] == before[2:]
        assert stream.total["duplicated"] == 0
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == untouched
        assert landed_on(vm, vm.start("reflect", queue_pairs=4)) == by_table


def landed_on(vm, function):
    """Sends 320 packets of 32 flows; returns how many of them each pair received."""
    before = received_by_pair(function)
    with vm.stream("--count", "320", "--window", "16", flows=32) as stream:
        stream.finish(stop=False)
    assert stream.total["received"] == 320, stream.total
    return [late - early for late, early in zip(received_by_pair(function), before)]


def test_freed_cores_do_no_packet_work():
    """After 4 -> 1 no worker is on the other CPUs, and no packet's interrupt reaches them."""
    with booted("6.12") as vm:
        function = vm.start("reflect", queue_pairs=4)
        with vm.stream(flows=32, rate=500) as stream:
            wait_until(lambda: min(received_by_pair(function)) > 0, lambda: str(received_by_pair(function)))
            assert min(packet_softirqs(vm)[1:]) > 0
            function.resize(1).check()
            assert [worker["core"] for worker in function.status()["workers"]] == [0]
            received, at_first = received_by_pair(function)[0], packet_softirqs(vm)
            wait_until(lambda: received_by_pair(function)[0] > received + 500, lambda: str(received_by_pair(function)))
            assert packet_softirqs(vm)[1:] == at_first[1:]
        assert stream.total["duplicated"] == 0
        pinned = vm.guest.run("grep -h Cpus_allowed_list /proc/$(pidof sluice-dataplane)/task/*/status").check().out
        assert not [cpus for cpus in pinned.split()[1::2] if cpus in ("1", "2", "3")], pinned


def packet_softirqs(vm):
    """Returns the NET_RX softirqs of each CPU so far."""
    line = next(line for line in vm.guest.get("/proc/softirqs").decode().splitlines() if "NET_RX" in line)
    return [int(count) for count in line.split()[1:]]
