"""The tables of the 2012 series, its grid, and the readers of the clients' reports. Nothing is timed."""

import json

import pytest

from tests.bench.seed import loads, servers, tables
from tests.bench.seed.loads import CRR, RR, STREAM_IN, Cell
from tests.bench.seed.tables import AGAIN, AUTO, ONE, Sample

CELL = Cell(RR, 64, 20)


def made(*rates, norm=10.0, pairs=1):
    return [Sample(throughput=rate, norm=norm, pairs=pairs) for rate in rates]


def thrice(rate, **more):
    return made(rate, rate, rate, **more)


def test_an_arm_is_compared_round_by_round():
    samples = {CELL: {ONE: made(100, 200, 400), "2 pairs": made(150, 400, 400, norm=5.0, pairs=2)}}
    table = tables.against_one("here", RR, "2 pairs", samples)
    assert table.title == "TCP_RR, 2 pairs against 1 pair: here, transactions/s"
    assert table.rows == [("64/20", 3, 200, 400, 50, 25, 75, 10, 5, -50, -50, -50, 2)]
    assert not tables.against_one("here", CRR, "2 pairs", samples).rows, "another load"


def test_a_measurement_that_failed_is_no_figure():
    bad = [Sample(failed="no route")]
    table = tables.against_one("here", RR, AUTO, {CELL: {ONE: made(100, 100), AUTO: made(90) + bad}})
    assert table.rows[0][:5] == ("64/20", 1, 100, 90, pytest.approx(-10))
    assert table.notes == ["64/20: 1 of 2 failed, the last with: no route"]
    table = tables.against_one("here", RR, AUTO, {CELL: {ONE: made(100), AUTO: bad}})
    assert table.rows == [("64/20", "did not run: no route")]
    table.render()


@pytest.mark.parametrize("auto, below", [(96, 0), (94, 1)])
def test_cells_below_one_pair_by_more_than_its_noise_are_counted(auto, below):
    """One pair against itself has a cell 5 % below."""
    samples = {CELL: {ONE: thrice(100), AUTO: thrice(auto), AGAIN: thrice(102)},
               Cell(RR, 1, 1): {ONE: thrice(100), AUTO: thrice(150), AGAIN: thrice(95)},
               # The noise of another load is not theirs.
               Cell(STREAM_IN, 1, 1): {ONE: thrice(100), AUTO: thrice(100), AGAIN: thrice(50)}}
    table = tables.verdict("here", samples)
    row = next(row for row in table.rows if row[0] == "TCP_RR, auto")
    assert row == ("TCP_RR, auto", 2, pytest.approx(auto - 100), "64/20", below, pytest.approx(50), 0, "1/1", 0)
    assert table.notes == (["the goal is MISSED: 1 figures of auto are below one pair"] if below else
                           ["the goal is met: no cell of auto is below one pair"])
    assert not any(row[4] for row in table.rows if "again" in row[0])
    table.render()


def test_throughput_for_each_core_counts_as_well():
    samples = {CELL: {ONE: thrice(100), AUTO: thrice(100, norm=5.0), AGAIN: thrice(100)}}
    assert "MISSED" in tables.verdict("here", samples).notes[0]


def test_one_round_is_no_judgement():
    samples = {CELL: {ONE: made(100), AUTO: made(50), AGAIN: made(100)}}
    assert tables.verdict("here", samples).notes == ["no judgement by less than 3 rounds"]


def test_rounds_are_whole():
    samples = {CELL: {ONE: made(1, 2), AUTO: made(1)}, Cell(RR, 1, 1): {ONE: made(1), AUTO: []}}
    assert tables.whole_rounds(samples) == {CELL: {ONE: made(1), AUTO: made(1)}}


def test_the_grid_is_the_series_own():
    assert loads.cells(CRR) == [Cell(CRR, size, many) for size in (1, 64, 256) for many in (1, 20, 50, 100)]
    assert len(loads.cells(STREAM_IN)) == 18


def test_reports_of_the_clients_are_read():
    said = "  47807 requests in 1.01s, 6.43MB read\nRequests/sec:  47498.64\nTransfer/sec:      6.39MB\n"
    assert loads.requests_per_second(said) == 47498.64
    for bad in (said + "  Socket errors: connect 0, read 3, write 0, timeout 0\n", "Requests/sec:      0.00\n", ""):
        with pytest.raises(RuntimeError):
            loads.requests_per_second(bad)
    assert servers.stream_mbps(json.dumps({"end": {"sum_received": {"bits_per_second": 2e6}}})) == 2
    with pytest.raises(RuntimeError, match="refused"):
        servers.stream_mbps(json.dumps({"error": "refused", "end": {}}))


@pytest.mark.parametrize("said, again", [
    ("iperf3: unable to connect to server: Connection refused", True),
    ("iperf3: the server is busy running a test. try again later", True),
    ("iperf3: this length is not allowed", False),
])
def test_a_server_that_is_still_at_its_last_client_is_tried_again(said, again):
    ends = loads.Ends(lambda words: ["echo", json.dumps({"error": said})], "192.0.2.2")
    with pytest.raises(RuntimeError) as raised:
        loads.throughput(Cell(STREAM_IN, 64, 2), ends, 1)
    assert isinstance(raised.value, loads.NotReady) == again


def test_nginx_answers_with_the_size_asked_for():
    text = servers.configuration("192.0.2.2", 2, (1, 3))
    assert "listen 192.0.2.2:8080 " in text and 'location = /3 { return 200 "xxx"; }' in text
