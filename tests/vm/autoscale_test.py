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
    """A flood fills the worker, however fast the machine is, and takes the room of other packets; so the stream whose
    packets are counted begins when it has ended.

    With hash=on QEMU itself looks for the queue of a packet that it has read from one of the tap's queues. When that
    queue was without buffers once, it reads this queue of the tap no more, so flows end in the tap after a flood
    (deploy/README.md). The packets that reached the guest are counted then."""
    with booted("6.12", rss=rss) as vm:
        before = vm.kernel_state()
        function = vm.start("reflect", queue_pairs='"auto"')
        assert (auto(function)["mode"], auto(function)["pairs"], auto(function)["max"]) == ("auto", 1, 4)
        with vm.stream(flows=64, rate=0) as flood:
            wait_for(function, lambda pairs: pairs > 1, "more pairs")
            grown = function.status()
        assert len(grown["workers"]) > 1, grown["workers"]
        assert flood.total["received"] > 0 and flood.total["duplicated"] == flood.total["corrupted"] == 0, flood.report
        # A hold is 50 times the time that the last resize by the lever took: this one has no flood beside it.
        function.ctl("queues", "set", "3").check()
        function.ctl("queues", "auto").check()
        dropped = wait_still(function)["balance"]["dropped"]
        with vm.stream(flows=64, rate=200) as stream:
            wait_for(function, lambda pairs: pairs == 1, "one pair")
        others = [stream.total[name] for name in ("reordered", "duplicated", "corrupted")]
        assert others == [0, 0, 0] and (rss or stream.total["lost"] == 0), stream.report
        assert stream.total["received"] > 0
        status = wait_still(function)
        assert status["balance"]["dropped"] == dropped, status
        assert len(status["workers"]) == 1
        decisions = status["autoscale"]["decisions"]
        assert decisions["full"] + decisions["drops"] >= 1 and decisions["idle"] >= 1, decisions
        assert decisions["refused"] == 0, decisions
        lever = "spread" if rss else "channels"
        assert f"autoscale: {lever} from " in function.agent.output(), function.agent.output()
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before
