"""kill -9 in a guest: the other daemon goes on, the next one takes over, and nothing is left behind."""

import time

from tests.lib.command import wait_until
from tests.lib.vm import booted, wait_still


def wait_running(function):
    """Waits until a dataplane runs again; returns the status."""
    wait_until(lambda: function.status()["dataplane"]["state"] == "running", function.agent.output)
    return function.status()


def test_dataplane_and_agent_killed():
    with booted("6.12") as vm:
        before = vm.kernel_state()
        function = vm.start("reflect", queue_pairs=2, port_extra='on_dataplane_down = "hold"')
        with vm.stream(rate=300) as stream:
            time.sleep(1)
            first = function.status()["dataplane"]["pid"]
            vm.guest.run(f"kill -9 {first}").check()
            status = wait_running(function)
            assert status["dataplane"]["pid"] != first
            assert status["dataplane"]["restarts"] == 1
            time.sleep(1)

            # Without an agent the dataplane goes on; a new agent finds it and takes over.
            received = status["balance"]["received"]
            vm.guest.run("kill -9 $(pidof sluice-agent)").check()
            time.sleep(1)
            function.start()
            assert function.status()["dataplane"]["pid"] == status["dataplane"]["pid"]
            wait_until(lambda: function.status()["balance"]["received"] > received, "traffic goes on")
            function.resize(4).check()
            time.sleep(1)
        assert stream.total["duplicated"] == 0
        wait_still(function)
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before


# Kills the agent as soon as XDP is off, or after a resize whose window it missed.
KILL_IN_THE_WINDOW = """
sluicectl queues set {size} >/dev/null 2>&1 &
until ! ip link show eth0 | grep -q prog/xdp || ! kill -0 $!; do :; done
kill -9 $(pidof sluice-agent)
wait
"""


def test_agent_killed_while_xdp_is_off():
    """The next agent finds that the dispatcher was taken off, and makes lanes and channels match."""
    with booted("6.12") as vm:
        before = vm.kernel_state()
        function = vm.start("reflect", queue_pairs=4)
        dataplane = function.status()["dataplane"]["pid"]
        with vm.stream(rate=300) as stream:
            for before_it, size in ((4, 1), (1, 4)):
                function.resize(before_it).check()
                vm.guest.run(KILL_IN_THE_WINDOW.format(size=size))
                function.start()
                status = function.status()
                assert status["dataplane"]["pid"] == dataplane
                pairs = status["ports"][0]["queue_pairs"]
                assert pairs["current"] == pairs["open"] and pairs["current"] in (before_it, size), status
                if "last_resize" in status:  # the resize had begun
                    expected = "done" if pairs["current"] == size else "rolled back"
                    assert status["last_resize"]["result"] == expected, status
                device = vm.guest.run("ethtool -l eth0 | grep Combined | tail -1").out
                assert int(device.split()[1]) == pairs["current"]
        assert stream.total["duplicated"] == 0
        with vm.stream("--count", "500", "--window", "16", rate=0) as stream:
            stream.finish(stop=False)
        assert stream.total["received"] == stream.total["sent"] == 500
        wait_still(function)
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before


# Kills every dataplane that the agent starts, until it no longer starts them at once.
KILL_UNTIL_THE_AGENT_WAITS = """
end=$(($(date +%s) + 30))
while [ $(date +%s) -lt $end ]; do
	for i in 1 2 3 4 5 6; do pidof sluice-dataplane >/dev/null && break; sleep 0.1; done
	kill -9 $(pidof sluice-dataplane) 2>/dev/null || break
done
date -s @$(($(date +%s) - 3600))
"""


def test_a_clock_that_is_set_moves_no_deadline():
    """Back by an hour while a restart is due, then on again while a resize runs."""
    with booted("6.12") as vm:
        function = vm.start("reflect", queue_pairs=2)
        vm.guest.run(KILL_UNTIL_THE_AGENT_WAITS, timeout=120).check()
        wait_running(function)
        vm.guest.run("(sleep 0.2; date -s @$(($(date +%s) + 7200))) & sluicectl queues set 4; wait").check()
        assert function.status()["last_resize"]["result"] == "done"
        assert function.status()["ports"][0]["queue_pairs"]["current"] == 4
        wait_still(function)
        assert function.stop().rc == 0, function.agent.output()
