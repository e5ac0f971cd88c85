"""The agent's kernel layer on the guests' kernels, since the bridge depends on the behaviour of each kernel."""

import pytest

from tests.lib import build
from tests.lib.vm import GuestFile, booted

VIRTIO = "SLUICE_VIRTIO_NETDEV=eth0 SLUICE_VIRTIO_SECOND_NETDEV=eth1 SLUICE_BPF_OBJECT_DIR=/usr/lib/sluice"
PROGRAM = "SLUICE_BPF_OBJECT_DIR=/usr/lib/sluice kernel_netns_test"
SUITES = ("BridgeTest", "ToKernelTest", "Ports/BothTest")


@pytest.mark.parametrize("kernel", ["6.1", "6.12", "7"])
def test_the_bridge_works_both_ways(kernel):
    """Each test runs in a separate process, as with ctest, since a process keeps its namespaces. None may be skipped.
    The test of VLAN devices, for example, skips itself on a kernel without them."""
    program = GuestFile("/usr/bin/kernel_netns_test", build.folder() / "tests/kernel/kernel_netns_test")
    with booted(kernel, files=[program]) as vm:
        bad = []
        for suite in SUITES:
            listed = vm.guest.run(f"{PROGRAM} --gtest_list_tests --gtest_filter='{suite}.*'").check().out
            names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ")]
            assert names, listed
            for name in names:
                done = vm.guest.run(f"{PROGRAM} --gtest_filter={suite}.{name}", timeout=300)
                print(vm.guest.release, suite, name, done.rc)
                if done.rc != 0 or "SKIPPED" in done.out:
                    bad.append(done.out)
        assert not bad, "\n".join(bad)


@pytest.mark.parametrize(
    "kernel, devices, has, leave_out",
    [
        ("6.1", {}, "", "*Rss*"),
        ("6.12", {"rss": True}, "", ""),
        ("6.12", {"offloads": True}, "GUEST_OFFLOADS", "*Rss*"),
        ("7", {"zero_copy": True}, "ZEROCOPY", "*Rss*"),
    ],
    ids=["6.1", "6.12-rss", "6.12-offloads", "7-zerocopy"],
)
def test_virtio_devices_are_as_the_kernel_layer_expects(kernel, devices, has, leave_out):
    program = GuestFile("/usr/bin/kernel_virtio_test", build.folder() / "tests/kernel/kernel_virtio_test")
    more = f"SLUICE_VIRTIO_{has}=1" if has else ""
    with booted(kernel, nics=2, files=[program], **devices) as vm:
        done = vm.guest.run(f"{VIRTIO} {more} kernel_virtio_test --gtest_filter='-{leave_out}'", timeout=300)
        assert done.rc == 0 and "SKIPPED" not in done.out and "[  PASSED  ]" in done.out, done.out
