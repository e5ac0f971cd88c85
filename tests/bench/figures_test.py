"""Tests of the benches' statistics, tables and readers of reports. Nothing is timed."""

import json
import os
import pathlib
import time

import pytest

from tests.bench.benches import guest
from tests.bench.lib import cpu, figures, latency, load, plot, rounds, traffic, windows
from tests.bench.lib.table import Table, cell


def report(sent=1000, lost=0, own=0, reordered=0, gap_ns=2_500_000):
    """Returns a report as flowgen prints it, with only the fields that are read."""
    return {
        "seconds": 2.0,
        "total": {"sent": sent, "received": sent - lost, "lost": lost, "reordered": reordered, "duplicated": 0,
                  "corrupted": 0, "receiver_dropped": own},
        "directions": [{"sent_pps": 500.0, "longest_gap_ns": gap_ns, "per_flow": [{"longest_gap_ns": 1_000_000}],
                        "latency_p50_ns": 1_000_000, "latency_p99_ns": 2_000_000, "latency_max_ns": 90_000_000}],
    }


@pytest.mark.parametrize("values, part, expected", [
    ([], 0.5, None),
    ([7], 0.99, 7),
    ([3, 1, 2], 0.5, 2),
    ([1, 2, 3, 4], 0.5, 2.5),
    ([1, 2, 3, 4, 5], 0.25, 2),
    (range(101), 0.99, 99),
    ([5, 1], 0, 1),
    ([5, 1], 1, 5),
])
def test_quantile(values, part, expected):
    assert figures.quantile(values, part) == expected


def test_quartiles_leave_out_rounds_without_a_figure():
    assert figures.quartiles([None, 1, 2, 3, None]) == (1.5, 2, 2.5, 3)
    assert figures.quartiles([None]) is None


def test_rounds_are_compared_one_by_one():
    assert figures.differences([1, 2, None], [4, 2, 1]) == [3, 0, None]
    assert figures.ratios([2, 0, 4, 1], [4, 5, 1, None]) == [2, None, 0.25, None]
    with pytest.raises(ValueError):
        figures.differences([1], [1, 2])


def test_effective_blocked_time_is_lost_over_rate():
    assert figures.effective_blocked_ms(40, 4000) == 10
    assert figures.effective_blocked_ms(40, 0) is None


@pytest.mark.parametrize("value, text", [
    (None, "-"), (0, "0"), (1234567, "1,234,567"), (0.0, "0.00"), (3.14159, "3.14"), (31.4159, "31.4"),
    (-314.159, "-314"), (12345.6, "12,346"), ("word", "word"), (True, "True"),
])
def test_cell(value, text):
    assert cell(value) == text


def test_table_is_aligned():
    table = Table("Title", ("way", "lost", "ms"))
    table.add("short", 1, 2.5)
    table.add("much longer", 1000, None)
    table.add("peer", "did not run: no device to run on, whatever width that takes")
    table.notes.append("a note")
    assert table.render() == (
        "Title\n"
        "  way           lost    ms\n"
        "  -----------  -----  ----\n"
        "  short            1  2.50\n"
        "  much longer  1,000     -\n"
        "  peer         did not run: no device to run on, whatever width that takes\n"
        "  a note\n")
    with pytest.raises(AssertionError):
        table.add("too", "many", "cells", "here")
    json.dumps(table.as_json())


def test_what_the_generator_dropped_is_not_lost():
    one = traffic.stream(report(lost=5, own=3), changes=1, note="x")
    assert (one.lost, one.own, one.blocked_ms, one.flow_gaps_ms, one.detail) == (2, 3, 2.5, [1.0], {"note": "x"})
    assert traffic.stream(report(lost=2, own=3), changes=0).lost == 0
    json.dumps(one.as_json())


def stream_with_a_wait(at_ms, wait_ms, blocked_ms):
    """Returns a stream of 1 s whose packets take 1 ms, but for one interval."""
    made = report()
    made["directions"][0]["timeline"] = [
        {"at_ms": ms, "received": 0 if ms == 500 else 10, "latency_p50_ns": 1_000_000, "latency_p99_ns": 2_000_000,
         "latency_max_ns": (wait_ms if ms == at_ms else 3) * 1_000_000} for ms in range(0, 1000, latency.INTERVAL_MS)]
    return traffic.stream(made, changes=1, last_resize={"blocked_ns": blocked_ms * 1_000_000})


def test_streams_are_laid_over_each_other_at_their_longest_waits():
    failed = traffic.Stream(detail={"failed": "x"})
    streams = [stream_with_a_wait(200, 40, 100), stream_with_a_wait(700, 60, 50), failed]
    curve = latency.curves("1->4", streams)["1->4: max"]
    middle = next(point for point in curve if point.x == latency.AROUND_MS)
    assert middle.y == 50 and (middle.low, middle.high) == (45, 55)
    assert all(point.y == 3 for point in curve if point is not middle)
    assert latency.worst(streams[0])[:2] == (200, 1)
    rendered = latency.table("Latency", {"1->4": streams, "none": []}).render()
    assert "1 of 2" in rendered and "60.0" in rendered
    json.dumps(streams[0].as_json())


def test_streams_add_up():
    streams = [traffic.stream(report(lost=n, reordered=1, gap_ns=n * 1_000_000), changes=2) for n in (0, 10, 20)]
    assert traffic.totals(streams) == (500.0, 3, 6, 3000, 30, 0, 3, 0)
    p50, p99, largest, flow, effective = traffic.blocked(streams)
    assert (p50, largest, flow, effective) == (10, 20, 1, 10) and 19 < p99 < 20
    assert traffic.blocked(streams[:0])[0] is None


def test_arms_are_interleaved_and_compared():
    order = []

    def arm(name, lost):
        def measure():
            order.append(name)
            return traffic.stream(report(lost=lost), changes=1)

        return measure

    streams = rounds.interleave({"A": arm("A", 1), "B": arm("B", 3)}, 3, lambda text: None)
    assert order == ["A", "B"] * 3
    table = rounds.comparison("", streams, [("B", "A")], rounds.PER_MILLION)
    assert table.rows[0] == ("B against A: lost per million", 3, 2000, 2000, 2000, 3, 3, 3)
    assert table.notes == ["B against A: zero in both in every round: reordered per million, duplicated per million"]
    table.render()
    assert "less than 0.1 %" in rounds.overload(streams["A"])
    assert "in 3 of 3 rounds" in rounds.overload(streams["B"])


def test_no_figure_is_made_of_a_change_that_failed():
    good, bad = traffic.stream(report(lost=4), 1), traffic.stream(report(lost=1), 1, failed="refused")
    assert traffic.totals([good, bad])[1:5] == (1, 1, 1000, 4)
    table = rounds.comparison("", {"A": [good, good], "B": [bad, good]}, [("B", "A")], rounds.PER_CHANGE)
    assert table.rows[0][:3] == ("B against A: effective blocked ms", 1, 0)


def test_a_way_that_did_not_run_has_a_row_with_the_reason():
    good, bad = traffic.stream(report(lost=500), 0), traffic.Stream(detail={"failed": "no zero-copy here"})
    streams = {("A", 1): [good, bad], ("B", 1): [bad, bad]}
    table = guest.rates("", 1, streams)
    assert table.rows[0][:5] == ("A, 1", 1, 0.25, 0.25, 0.25)
    assert table.rows[1] == ("B, 1", "did not run: no zero-copy here")
    assert table.notes == ["A, 1: 1 of 2 failed, the last with: no zero-copy here"]
    table.render()


def test_balance_has_the_reasons():
    status = {"balance": {"received": 9, "dropped": 3, "held": 0, "unaccounted": 0},
              "ports": [{"queues": [{"drops": {"full": 1}}, {}], "bridge": {"drops": {"full": 1, "late": 1, "no": 0}}}]}
    assert "received 9, dropped 3 (full 2, late 1), held 0" in traffic.balance(status)


@pytest.mark.parametrize("carried, expected", [
    (5000, load.Offer(4000, 4000, True)),  # as asked for
    (3000, load.Offer(4000, 3000, True)),  # the first that is clean
    (0, load.Offer(4000, 4000 * 0.75**8, False)),
])
def test_rate_is_the_highest_that_goes_through(carried, expected):
    def trial(rate):
        return {"total": {"sent": 1000, "lost": 0 if rate <= carried else 500}, "directions": [{"sent_pps": rate}]}

    offer = load.sustained(4000, trial, lambda text: None)
    assert (offer.asked, offer.sustained) == (expected.asked, expected.sustained)
    assert offer.rate == pytest.approx(expected.rate)
    assert ("NOT" in offer.words()) == (not expected.sustained)


def test_window_is_attributed_to_its_steps():
    steps = [("make packet memory", 9), ("take XDP off (the bridge takes over)", 10), ("ethtool -L eth0", 20),
             ("put XDP back", 5), ("transmit", 1)]
    resize = {"blocked_ns": 40_000_000, "steps": [{"step": name, "took_ns": ms * 1_000_000} for name, ms in steps]}
    table = Table("", windows.COLUMNS)
    windows.attribute(table, "1->4", [resize])
    assert [row[1] for row in table.rows] == ["no", "yes", "yes", "yes", "no", "yes", "yes"]
    assert table.rows[2] == ("1->4: ethtool -L eth0", "yes", 1, 20, 20, "50 %")
    assert table.rows[5][3] == 5  # between the steps
    windows.attribute(table, "none", [])
    assert len(table.rows) == 7


def test_curves_are_drawn_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib", reason="drawing needs python3-matplotlib, which tests/bench/run installs")
    series = {"ours": [plot.Point(0, 0.1), plot.Point(1e3, 5, 4, 6), plot.Point(1e6, 100)]}
    drawn = [plot.curves(tmp_path / name, "CPU", "packets a second", "per cent", series, log_x=True).read_text()
             for name in ("one.svg", "two.svg")]
    assert drawn[0] == drawn[1]
    assert drawn[0].startswith("<?xml") and "ours" in drawn[0]


def test_time_of_a_process_and_its_core():
    if "kthreadd" not in [path.read_text(encoding="ascii").strip() for path in pathlib.Path("/proc").glob("2/comm")]:
        pytest.skip("the kernel's threads are in another PID namespace")
    meter = cpu.Meter({"me": os.getpid()}, core=0)
    begin = time.thread_time()
    while time.thread_time() - begin < 0.2:
        pass
    used = meter.read()
    assert set(used) == {"me", "softirq", "busy"}
    assert 0 < used["me"] <= 110 and 0 <= used["softirq"] <= 110
