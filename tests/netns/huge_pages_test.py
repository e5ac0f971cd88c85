"""Lanes in huge pages: the dataplane maps them, and gives them back when a lane closes."""

import pathlib

import pytest

from tests.lib import flowgen, huge_pages
from tests.lib.command import wait_until

# Enough for this test's lanes and those of tests that run at the same time.
PAGES = 96


@pytest.fixture
def pages():
    with huge_pages.more(PAGES) as free:
        if free < PAGES:
            pytest.skip(f"the kernel gave {free} huge pages, not {PAGES}")
        yield


def lanes_mapped(pid):
    """Returns the names of the lanes that a process has mapped in huge pages."""
    kept, huge = "", set()
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "memfd:" in line:
            kept = line.split("memfd:")[1].split()[0]
        elif line.startswith("VmFlags:") and "ht" in line.split():
            huge.add(kept)
    return huge


def test_lanes_live_in_huge_pages_and_leave_them(pages, reflector, programs):
    device = reflector(queue_pairs=2).start()
    agent = device.agent
    pid = agent.dataplane_pid()
    assert [queue["huge_pages"] for queue in agent.port("wan")["queues"]] == [True, True]
    assert "memory: huge pages (wan 0, wan 1)" in agent.ctl("status").stdout
    assert lanes_mapped(pid) == {"sluice-lane-0", "sluice-lane-1", "sluice-bridge"}
    assert flowgen.run(programs, **device.traffic(), flows=16, rate=0, window=60, count=5000, settle=0.3)["exact"]
    device.resize(1)
    wait_until(lambda: lanes_mapped(pid) == {"sluice-lane-0", "sluice-bridge"}, lambda: f"{lanes_mapped(pid)}")
    assert not lanes_mapped(agent.process.pid), "only the dataplane maps lanes; the kernel pins them"
    agent.settled()
    agent.stop()
