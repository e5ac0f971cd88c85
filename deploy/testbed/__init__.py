"""Guests for trying and testing Sluice: a stock kernel in QEMU, booted from memory.

Everything is fetched into a cache folder and run from there, so that neither
the machine's packages nor its network set-up are touched:

    with TestNet(taps=2, queues=4) as net:
        nics = [Nic(tap, queues=4) for tap in net.taps]
        with Guest("6.12", files=[GuestFile("/usr/sbin/x", "build/x")],
                   nics=nics, netns=net.name) as guest:
            print(guest.run("ethtool -l eth0").check().out)
"""

from .cache import cache_folder
from .channel import GuestDied, GuestError, GuestTimeout, Result
from .fetch import SERIES, Kernel, Qemu, fetch_kernel, fetch_qemu
from .guest import Background, Guest
from .image import GuestFile, build_image
from .net import TestNet
from .qemu import Nic
from .undo import Undo

__all__ = [
    "SERIES",
    "Background",
    "Guest",
    "GuestDied",
    "GuestError",
    "GuestFile",
    "GuestTimeout",
    "Kernel",
    "Nic",
    "Qemu",
    "Result",
    "TestNet",
    "Undo",
    "build_image",
    "cache_folder",
    "fetch_kernel",
    "fetch_qemu",
]
