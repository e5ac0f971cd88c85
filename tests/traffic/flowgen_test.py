"""flowgen's report on a wire that the test controls packet by packet: it must report every change."""

import pytest

from tests.lib import flowgen
from tests.lib.command import run
from tests.lib.relay import Relay, swap_macs

PACKETS = 1000
FLOWS = 4


@pytest.fixture
def wire(world):
    """gen:a0 -- a1:mid:b1 -- b0:gen, with nothing between a1 and b1 yet."""
    gen, mid = world.netns("gen"), world.netns("mid")
    world.veth(gen, "a0", mid, "a1")
    world.veth(gen, "b0", mid, "b1")
    return gen, mid


def send(programs, wire, edit, **options):
    gen, mid = wire
    options = {"flows": FLOWS, "rate": 2000, "count": PACKETS, "settle": 2, **options}
    with Relay(mid, "a1", "b1", edit):
        return flowgen.run(programs, tx=(gen, "a0"), rx=(gen, "b0"), **options)


def test_perfect_wire_is_exact(programs, wire):
    report = send(programs, wire, lambda number, frame: [frame])
    assert report["exact"]
    assert report["total"]["sent"] == report["total"]["received"] == PACKETS
    assert flowgen.counts(report) == flowgen.EXACT
    assert report["directions"][0]["macs_unchanged"] == PACKETS


def test_each_lost_packet_is_counted(programs, wire):
    lost = {0, 1, 500, 501, 502, PACKETS - 1}
    report = send(programs, wire, lambda number, frame: [] if number in lost else [frame], per_flow=True)
    assert flowgen.counts(report) == (len(lost), 0, 0, 0)
    assert not report["exact"]
    for flow in report["directions"][0]["per_flow"]:
        assert flow["lost"] == sum(number % FLOWS == flow["flow"] for number in lost)


def test_each_duplicate_is_counted(programs, wire):
    report = send(programs, wire, lambda number, frame: [frame] * (3 if number % 100 == 0 else 1))
    assert flowgen.counts(report) == (0, 0, 2 * PACKETS // 100, 0)


def test_each_reordered_packet_is_counted(programs, wire):
    kept = []

    def edit(number, frame):
        """Sends packet 100k after 100k + 40: ten packets of its own flow have overtaken it then."""
        if number % 100 == 0:
            kept.append(frame)
            return []
        return [frame, kept.pop()] if number % 100 == 40 else [frame]

    report = send(programs, wire, edit)
    assert flowgen.counts(report) == (0, PACKETS // 100, 0, 0)
    assert report["directions"][0]["reorder_max_distance"] == 40 // FLOWS + 1
    assert report["directions"][0]["longest_gap_ns"] > 0


def test_corrupted_packets_are_corrupted_and_lost(programs, wire):
    def edit(number, frame):
        return [frame[:50] + bytes([frame[50] ^ 1]) + frame[51:]] if number % 100 == 7 else [frame]

    report = send(programs, wire, edit)
    assert flowgen.counts(report) == (PACKETS // 100, 0, 0, PACKETS // 100)


def test_bad_checksums_are_received_but_not_exact(programs, wire):
    report = send(programs, wire, lambda number, frame: [frame[:40] + b"\0\1" + frame[42:]])
    assert flowgen.counts(report) == flowgen.EXACT
    assert report["directions"][0]["bad_checksum"] == PACKETS
    assert not report["exact"]


def test_everything_at_once(programs, wire):
    kept = []

    def edit(number, frame):
        match number % 50:
            case 0:
                return []
            case 1:
                return [frame, frame]
            case 2:
                kept.append(frame)
                return []
            case 10:
                return [frame, kept.pop()]
        return [frame]

    report = send(programs, wire, edit)
    twentieths = PACKETS // 50
    assert flowgen.counts(report) == (twentieths, twentieths, twentieths, 0)


def test_late_packets_count_as_received(programs, wire):
    kept = []

    def edit(number, frame):
        """Keeps the last tenth back until the very last packet has come, and then sends it in order."""
        if number < PACKETS * 9 // 10:
            return [frame]
        kept.append(frame)
        return kept if number == PACKETS - 1 else []

    report = send(programs, wire, edit)
    assert flowgen.counts(report) == flowgen.EXACT
    assert report["directions"][0]["longest_gap_ns"] > 30_000_000  # the last tenth takes 50 ms


def test_reflecting_device_and_swapped_macs(programs, world):
    gen, mid = world.netns("gen"), world.netns("mid")
    world.veth(gen, "a0", mid, "a1")
    with Relay(mid, "a1", "a1", lambda number, frame: [swap_macs(frame)]):
        report = flowgen.run(programs, tx=(gen, "a0"), dst_mac=mid.mac("a1"), count=PACKETS, rate=2000, settle=0.3)
    assert report["exact"]
    assert report["directions"][0]["macs_swapped"] == PACKETS


@pytest.mark.parametrize("options", [
    {"both": True},
    {"both": True, "ipv6": True, "size": 84},
    {"both": True, "vlan": 7, "size": 1514},
    {"both": True, "flows": 1000, "window": 32, "rate": 0},
], ids=["ipv4", "ipv6", "vlan", "window"])
def test_both_directions_over_a_wire(programs, world, options):
    gen = world.netns("gen")
    world.veth(gen, "a0", gen, "b0")
    report = flowgen.run(programs, tx=(gen, "a0"), rx=(gen, "b0"), count=5000, settle=0.3,
                         **{"rate": 5000, **options})
    assert report["exact"], report
    assert [d["counts"]["received"] for d in report["directions"]] == [5000, 5000]
    assert [d["from"] for d in report["directions"]] == ["a0", "b0"]


def test_full_speed_is_exact_too(programs, world):
    gen = world.netns("gen")
    world.veth(gen, "a0", gen, "b0")
    report = flowgen.run(programs, tx=(gen, "a0"), rx=(gen, "b0"), rate=0, count=100_000, flows=10, settle=0.3)
    total = report["total"]
    assert total["lost"] == total["receiver_dropped"]  # only its own ring may overflow
    assert flowgen.counts(report)[1:] == (0, 0, 0)


def test_rate_is_what_was_asked_for(programs, world):
    gen = world.netns("gen")
    world.veth(gen, "a0", gen, "b0")
    report = flowgen.run(programs, tx=(gen, "a0"), rx=(gen, "b0"), rate=4000, duration=2, settle=0.1)
    direction = report["directions"][0]
    # It never sends too many packets, and too few only if the machine kept it from its core.
    assert report["total"]["sent"] <= 8000 + 1
    assert report["total"]["sent"] > 7000 or direction["sender_longest_stall_ns"] > 10_000_000


def test_ends_at_sigterm_with_a_report(programs, world):
    gen = world.netns("gen")
    world.veth(gen, "a0", gen, "b0")
    with flowgen.Background(programs, tx=(gen, "a0"), rx=(gen, "b0"), rate=1000, settle=0.2, timeline=100) as traffic:
        run("sleep", "1")
        report = traffic.stop()
    assert report["exact"]
    rows = report["directions"][0]["timeline"]
    assert sum(row["received"] for row in rows) == report["total"]["received"] > 0


@pytest.mark.parametrize("arguments, problem", [
    (["--tx", "nosuch0", "--rx", "b0"], "nosuch0"),
    (["--netns", "nosuchspace", "--tx", "a0", "--rx", "b0"], "nosuchspace"),
])
def test_what_is_not_there_is_named(programs, arguments, problem):
    done = run(programs.flowgen, *arguments, check=False)
    assert done.returncode == 1
    assert problem in done.stderr
