"""The bench `seed` works: its servers and clients, and each arm, on veth. Its figures are not judged."""

import argparse

import pytest

from tests.bench.benches import seed
from tests.bench.lib.report import Report

pytestmark = pytest.mark.long
LOADS = {"packets 64/1", "packets 64/256", "TCP_CRR 64/20", "stream in 64/2"}


def test_quick_cells():
    parser = argparse.ArgumentParser()
    seed.options(parser)
    report = Report("seed")
    seed.measure(parser.parse_args(["--quick", "--beds", "veth", "--loads", "packets", "TCP_CRR", "stream in"]), report)
    assert not report.failures, report.failures
    [measured] = report.measured.values()
    assert set(measured) == LOADS
    for cell, arms in measured.items():
        for arm, [sample] in arms.items():
            assert not sample["failed"] and sample["throughput"] > 0 and sample["norm"] > 0, (cell, arm, sample)
            if arm != "auto":  # which may take as many as it wants
                assert sample["pairs"] == (2 if arm == "2 pairs" else 1), (cell, arm, sample)
