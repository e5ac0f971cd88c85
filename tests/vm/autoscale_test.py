"""queue_pairs = "auto" in a guest: pairs follow the load by the lever that the device has, and nothing is lost."""

import pytest

from tests.lib.command import PATIENCE, wait_until
from tests.lib.vm import booted, wait_still

# Decisions take seconds of load, and a hold is 50 times the time that the last resize took.
LONG = 6 * PATIENCE


def auto(function):
    return function.status()["autoscale"]


def wait_for(function, holds, words):
    wait_until(lambda: holds(auto(function)["pairs"]), lambda: f"{words}: {auto(function)}\n{function.agent.output()}",
               timeout=LONG)


@pytest.mark.parametrize("rss", [False, True], ids=["channels", "spread"])
def test_pairs_follow_the_load(rss):
    """Loops on the worker's CPU leave it little, so that a closed loop of packets fills it, however fast the machine
    is."""
    with booted("6.12", rss=rss) as vm:
        before = vm.kernel_state()
        function = vm.start("reflect", queue_pairs='"auto"')
        assert (auto(function)["mode"], auto(function)["pairs"], auto(function)["max"]) == ("auto", 1, 4)
        core = function.status()["workers"][0]["core"]
        loop = f"taskset -c {core} sh -c 'while [ ! -e /tmp/enough ]; do :; done'"
        loops = vm.guest.spawn(f"for i in 1 2 3; do {loop} & done; wait")
        with vm.stream("--window", "512", "--settle", "2", flows=64, rate=0) as stream:
            wait_for(function, lambda pairs: pairs > 1, "more pairs")
            vm.guest.run("touch /tmp/enough").check()
            assert loops.wait().rc == 0
            grown = function.status()
        assert len(grown["workers"]) > 1, grown["workers"]
        counts = tuple(stream.total[key] for key in ("lost", "duplicated", "corrupted"))
        assert counts == (0, 0, 0), stream.report
        assert stream.total["received"] > 0
        wait_for(function, lambda pairs: pairs == 1, "one pair")
        status = wait_still(function)
        assert status["balance"]["dropped"] == 0, status
        assert len(status["workers"]) == 1
        decisions = status["autoscale"]["decisions"]
        assert decisions["full"] >= 1 and decisions["idle"] >= 1 and decisions["refused"] == 0, decisions
        lever = "spread" if rss else "channels"
        assert f"autoscale: {lever} from " in function.agent.output(), function.agent.output()
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before
