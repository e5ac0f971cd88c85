"""The image that deploy/image makes of the package, as a guest between two taps that tests can talk to.

    with running(package, config) as vm:
        with vm.stream(rx=vm.net.taps[1], rx_netns=vm.right) as stream:
            vm.guest.run("systemctl restart sluice-agent").check()
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.lib import build
from tests.lib.vm import Vm, mac

DEPLOY = Path(__file__).parents[2] / "deploy"
sys.path.insert(0, str(DEPLOY))

from guest import Guest, Nic, TestNet  # noqa: E402
from guest.fetch import fetch_qemu  # noqa: E402
from image import DebianRoot, build_appliance  # noqa: E402

QUEUES = 2
# Beside what Sluice needs: for looking at what it leaves behind.
PACKAGES = ["ethtool", "iproute2"]

# The guest's CPUs but the first start late (guest/init says why), before the network devices count them.
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


def _serve_tests(root: DebianRoot) -> None:
    root.write("/usr/lib/guest/serve", (DEPLOY / "guest/serve").read_bytes(), 0o755)
    for shell in ("usr/bin/ash", "usr/sbin/dash"):  # what it calls them in a guest of busybox
        (root.folder / shell).symlink_to("/usr/bin/dash")
    root.write("/etc/systemd/system/guest-cpus.service", _CPUS)
    root.write("/etc/systemd/system/guest-serve@.service", _SERVE)
    root.run("systemctl", "enable", "guest-cpus", *(f"guest-serve@{number}" for number in range(1, 5)))


@contextlib.contextmanager
def running(package: Path, config: str, folder: Path) -> Iterator[Vm]:
    """Builds the image in `folder` and boots it. Each tap is in a namespace of its own: `vm.left`, `vm.right`."""
    made = build_appliance(package, config, folder / "initrd.img", PACKAGES, _serve_tests)
    with TestNet(taps=2, queues=QUEUES) as net:
        nics = [Nic(tap, queues=QUEUES, mac=mac(index)) for index, tap in enumerate(net.taps)]
        guest = Guest(made.kernel.series, image=made.initramfs, nics=nics, netns=net.name, cpus=QUEUES)
        with guest:
            yield Vm(guest, net, mode="auto")
            guest.assert_healthy()
