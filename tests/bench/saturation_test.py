"""Tables of rates at saturation: the better peer, ratios by round, and notes on doubtful figures."""

from tests.bench.lib import saturation
from tests.bench.lib.table import Table

LOAD = saturation.LOADS["64"]


def runs(*rates, dropped=1, strangers=0.0, wrong=0):
    return [{"pps": rate * 1e6, "seconds": 1.0, "window": {"sent": 4e6}, "total": {"wrong": wrong}, "dropped": dropped,
             "strangers": strangers} for rate in rates]


def test_ratios_are_to_the_better_peer_round_by_round():
    measured = {"ours": runs(2, 4, 9), "slow": runs(1, 1, 1), "fast": runs(1, 2, 3)}
    table = Table("", saturation.COLUMNS)
    saturation.add_rows(table, LOAD, measured, ("slow", "fast"))
    by_name = {row[0]: row for row in table.rows}
    assert by_name["64 B: ours"][-3:] == (2, 2, 2.5)
    assert by_name["64 B: fast (better)"][-3:] == (None, None, None)
    assert by_name["64 B: ours"][4] == 4
    assert by_name["64 B: ours"][2] == 4, "offered"


def test_wrong_frames_are_shown_and_are_no_throughput():
    table = Table("", saturation.COLUMNS)
    saturation.add_rows(table, LOAD, {"one": runs(1, wrong=5), "peer": runs(1)}, ("peer",))
    assert table.rows[0][7] == 5


def test_notes_name_what_was_not_saturated_and_disturbances():
    [note] = saturation.notes([{"one": runs(1, 1), "kernel": runs(1, dropped=0)}], limited=("kernel",))
    assert "every device dropped" in note
    said = saturation.notes([{"one": runs(1, dropped=0) + runs(1), "two": runs(1, strangers=50)}], limited=())
    assert "NOT saturated" in said[0] and "one in 1 runs" in said[0]
    assert said[1].startswith("in 1 of 3 runs")


def test_imix_is_the_mix_that_liveload_sends():
    sizes = [64] * 7 + [590] * 4 + [1514]
    assert saturation.LOADS["imix"].bytes == sum(sizes) / len(sizes)


def test_strangers_are_neither_ours_nor_the_kernels():
    parents = {1: 0, 2: 0, 10: 1, 11: 10, 20: 1, 30: 2}
    before = {pid: saturation.Used(parent, 100) for pid, parent in parents.items()}
    later = {pid: saturation.Used(used.parent, used.ticks + 1) for pid, used in before.items()}
    later |= {12: saturation.Used(11, 1000), 21: saturation.Used(20, 2000), 40: saturation.Used(1, 3000)}
    # 1, 20, its new child 21, and 40, which is new.
    assert saturation.strange_ticks(before, later, mine=[10]) == 1 + 1 + 2000 + 3000
    assert saturation.strange_ticks(before, later, mine=[10, 20, 40]) == 1
