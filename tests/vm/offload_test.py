"""Offloaded flows on virtio_net: carried by XDP between resizes, in order all along."""

import pytest

from tests.lib.command import wait_until
from tests.lib.vm import booted
from tests.vm.resize_test import exact_while


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_carried_flows_cross_resizes(kernel):
    """1 -> 4 -> 2 -> 1 in a closed loop: none is lost, doubled or out of order, and XDP has carried some."""
    with booted(kernel) as vm:
        function = vm.start("reflect", extra='offload = "auto"')
        wait_until(lambda: function.status()["offload"]["on"], lambda: str(function.status()["offload"]))
        exact_while(vm, function, [4, 2, 1], "--window", "32", rate=1000)
        assert function.status()["balance"]["offloaded"] > 0
