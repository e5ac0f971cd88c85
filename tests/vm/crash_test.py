"""kill -9 in a guest: the survivor carries on, the successor takes over, nothing is left behind."""

import time

from tests.lib.vm import booted


def wait_running(function):
    """Until a dataplane runs again; returns the status."""
    for _ in range(100):
        status = function.status()
        if status["dataplane"]["state"] == "running":
            return status
        time.sleep(0.1)
    raise AssertionError(function.agent.output())


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
            time.sleep(2)
            function.start()
            status = function.status()
            assert status["dataplane"]["pid"] != 0
            assert status["balance"]["received"] > received
            function.ctl("queues", "set", "4").check()
            time.sleep(1)
        assert stream.total["duplicated"] == 0
        time.sleep(0.5)
        assert function.status()["balance"]["unaccounted"] == 0
        assert function.stop().rc == 0, function.agent.output()
        assert vm.kernel_state() == before
