"""Offloaded flows on virtio_net: XDP sends them between resizes, and packets stay in order."""

import pytest

from tests.lib.command import wait_until
from tests.lib.vm import booted
from tests.vm.resize_test import exact_while


@pytest.mark.parametrize("kernel", ["6.1", "6.12"])
def test_offloaded_flows_cross_resizes(kernel):
    """1 -> 4 -> 2 -> 1 in a closed loop: no packet is lost, doubled or out of order, and XDP sent some of them."""
    with booted(kernel) as vm:
        function = vm.start("reflect", extra='offload = "auto"')
        wait_until(lambda: function.status()["offload"]["on"], lambda: str(function.status()["offload"]))
        exact_while(vm, function, [4, 2, 1], "--window", "32", rate=1000)
        assert function.status()["balance"]["offloaded"] > 0
