"""Runs the image that deploy/image makes of the package as a guest between two taps, with command ports for the tests.

    with running(package, config, folder) as vm:
        vm.guest.run("systemctl restart sluice-agent").check()
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lib.command import run
from tests.lib.vm import Vm, mac

DEPLOY = Path(__file__).parents[2] / "deploy"
sys.path.insert(0, str(DEPLOY))

from testbed import Guest, Nic, TestNet  # noqa: E402
from image import kernel_series  # noqa: E402

QUEUES = 2
# Not needed by Sluice; tests use them to inspect the guest.
PACKAGES = ["ethtool", "iproute2"]

# The guest's CPUs but the first start late (deploy/testbed/init says why), before the network devices count them.
_CPUS = """\
[Unit]
DefaultDependencies=no
Before=systemd-udev-trigger.service systemd-modules-load.service
[Service]
Type=oneshot
ExecStart=/usr/sbin/modprobe virtio_pci
ExecStart=/bin/sh -c 'for cpu in /sys/devices/system/cpu/cpu*/online; do echo 1 >$cpu; done'
[Install]
WantedBy=sysinit.target
"""
_SERVE = """\
[Unit]
Requires=dev-virtio\\x2dports-command%i.device
After=dev-virtio\\x2dports-command%i.device
[Service]
ExecStart=/usr/lib/guest/serve /dev/virtio-ports/command%i /run/guest/command%i
KillMode=process
[Install]
WantedBy=multi-user.target
"""


def _overlay(folder: Path) -> Path:
    """Makes the files by which tests run commands in the image."""
    units = folder / "etc/systemd/system"
    for wants in ("sysinit.target.wants", "multi-user.target.wants"):
        (units / wants).mkdir(parents=True)
    (units / "guest-cpus.service").write_text(_CPUS)
    (units / "sysinit.target.wants/guest-cpus.service").symlink_to("../guest-cpus.service")
    (units / "guest-serve@.service").write_text(_SERVE)
    for number in range(1, 5):
        (units / f"multi-user.target.wants/guest-serve@{number}.service").symlink_to("../guest-serve@.service")
    for name in ("usr/lib/guest", "usr/bin", "usr/sbin"):
        (folder / name).mkdir(parents=True)
    shutil.copy(DEPLOY / "testbed/serve", folder / "usr/lib/guest/serve")
    for shell in ("usr/bin/ash", "usr/sbin/dash"):  # `serve` names its shells as in a busybox guest
        (folder / shell).symlink_to("/usr/bin/dash")
    return folder


@contextlib.contextmanager
def running(package: Path, config: str, folder: Path) -> Iterator[Vm]:
    """Builds the image in `folder`, as a user would, and boots it between two taps."""
    (folder / "sluice.toml").write_text(config)
    command = [DEPLOY / "image/build", "--package", package, "--config", folder / "sluice.toml"]
    command += ["--include", ",".join(PACKAGES), "--add", _overlay(folder / "overlay"), folder]
    print(run(*command, timeout=600).stdout)
    with TestNet(taps=2, queues=QUEUES) as net:
        nics = [Nic(tap, queues=QUEUES, mac=mac(index)) for index, tap in enumerate(net.taps)]
        with Guest(kernel_series(), image=folder / "initrd.img", nics=nics, netns=net.name, cpus=QUEUES) as guest:
            yield Vm(guest, net, mode="auto")
            guest.assert_healthy()
