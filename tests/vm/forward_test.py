"""Ordinary programs exchange packets through a forwarding guest while it is resized."""

import contextlib
import itertools
import time

import pytest

from tests.lib.capture import Capture
from tests.lib.vm import wait_still
from tests.lib.wire import wire

# 20 TCP streams with at most 32 KiB each on the way. Together these are fewer segments than a tap's queue holds
# (1,000), so only a defect loses one.
STREAM_SECONDS = 10
TWENTY_STREAMS = ("-P", "20", "-w", "16K", "-t", str(STREAM_SECONDS))


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_ping_and_iperf_across_resizes(kernel):
    """TCP survives every resize, UDP loss is counted, ARP and ping pass, and the balance holds."""
    with wire(kernel) as joined:
        # With -w, -c counts replies: ping succeeds once all five have come, even late ones.
        ping = joined.ping("-c", "5", "-w", "30", "-i", "0.2")
        out, _ = ping.communicate()
        assert ping.returncode == 0, out

        tcp = joined.iperf3("-t", "8", "-P", "4")
        for pairs in (4, 1, 2):
            time.sleep(1.5)
            joined.function.resize(pairs).check()
        end = tcp.report()
        assert end["sum_received"]["bytes"] > 0
        print(f"{kernel}: TCP {end['sum_received']['bytes']} bytes, {end['sum_sent']['retransmits']} retransmits")

        udp = joined.iperf3("-u", "-b", "2M", "-l", "512", "-t", "2").report()
        print(f"{kernel}: UDP {udp['sum']['lost_packets']} of {udp['sum']['packets']} lost")
        # A busy machine's buffers may lose packets on the way; wait_still() checks those that reached Sluice.
        assert udp["sum"]["lost_packets"] < udp["sum"]["packets"]
        status = wait_still(joined.function)
        drops = [queue["drops"] for port in status["ports"] for queue in [*port["queues"], port["bridge"]]]
        print(f"{kernel}: dropped by us, by queue: {drops}")


class Streams:
    """Twenty TCP streams from left to right, captured on both sides while iperf3 sends."""

    def __init__(self, joined, sizes=()):
        """Sends, and meanwhile resizes to each of `sizes` in turn."""
        before = joined.drops()
        net, (left_tap, right_tap) = joined.vm.net, joined.vm.net.taps
        self.resizes = 0
        with Capture(net, joined.left, left_tap) as left, Capture(net, joined.right, right_tap) as right:
            client = joined.iperf3(*TWENTY_STREAMS)
            for size in sizes:
                time.sleep(1)
                if not client.running():
                    break
                joined.function.resize(size).check()
                self.resizes += 1
            end = client.report()
            wait_still(joined.function)
        after = joined.drops()  # with the counters of queues that were opened meanwhile
        self.dropped = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
        self.bytes = end["sum_received"]["bytes"]
        self.retransmits = end["sum_sent"]["retransmits"]
        self.resets = left.resets(STREAM_SECONDS) + right.resets(STREAM_SECONDS)
        self.frames, at_right = left.frames(), right.frames()
        self.missing = (self.frames - at_right).total() + (at_right - self.frames).total()

    def __str__(self):
        return (f"{self.resizes} resizes: {self.frames.total()} frames, {self.missing} on one side only, "
                f"{self.bytes} bytes, {self.retransmits} retransmits, {self.resets} resets, drops {self.dropped}")


def test_twenty_tcp_streams_see_no_resize():
    """Every frame that comes in at one side goes out at the other, and no counter on the way counts a drop."""
    with wire("6.12") as joined:
        undisturbed = Streams(joined)
        resized = Streams(joined, itertools.cycle([4, 1, 3, 2]))
        print(f"{undisturbed}\n{resized}")
        assert resized.resizes > 0 and resized.bytes > 0
        for streams in (undisturbed, resized):
            assert (streams.missing, streams.resets, streams.dropped) == (0, 0, {}), f"{undisturbed}\n{resized}"


def test_guest_offloads_cost_what_was_said():
    """Super-packets that are queued when XDP is put back are lost. The dry run and doctor say so; TCP resends them."""
    with wire("6.12", offloads=True) as joined:
        assert "guest offloads" in joined.function.ctl("queues", "set", "4", "--dry-run").check().out
        assert "guest_offloads" in joined.function.ctl("doctor").check().out
        undisturbed = Streams(joined)
        resized = Streams(joined, itertools.cycle([4, 1, 3, 2]))
        print(f"{undisturbed}\n{resized}")
        assert resized.resizes > 0 and resized.bytes > 0
        assert (resized.resets, undisturbed.resets) == (0, 0)


def test_every_kind_of_packet_crosses_resizes():
    """Packets with VLAN tags, of the MTU's size, IPv6, and fragments: each goes out once and unharmed."""
    kinds = (["--vlan", "7"], ["--size", "1514"], ["--ipv6", "--size", "84"])
    with wire("6.12") as joined:
        both_ways = {"netns": joined.left, "rx_netns": joined.right, "rx": joined.vm.net.taps[1]}
        with contextlib.ExitStack() as stack:
            streams = [
                stack.enter_context(joined.vm.stream("--both", "--window", "16", *kind, rate=300, **both_ways))
                for kind in kinds
            ]
            fragments = joined.ping("-c", "40", "-i", "0.3", "-s", "4000", "-w", "120")
            for size in (4, 1, 3, 2):
                time.sleep(1)
                joined.function.resize(size).check()
            out, _ = fragments.communicate()
        # ping ends with the fortieth reply; a slow guest's later ones may still be on the way.
        assert fragments.returncode == 0 and "DUP" not in out, out
        for stream in streams:
            assert stream.total["received"] == stream.total["sent"] > 0, stream.total
            assert (stream.total["duplicated"], stream.total["corrupted"]) == (0, 0), stream.total
        print(*(stream.total for stream in streams), sep="\n")
        assert wait_still(joined.function)["balance"]["dropped"] == 0
