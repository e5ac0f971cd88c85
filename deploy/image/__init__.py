"""A guest image with Sluice in it: Debian by mmdebstrap, Sluice by its package, Debian's kernel.

It runs from memory: a kernel and an initramfs, in which systemd is the first
process. Nothing is partitioned, and every boot begins as it was built.
"""

from .appliance import Appliance, build_appliance
from .debian_root import DebianRoot, base_archive

__all__ = ["Appliance", "DebianRoot", "base_archive", "build_appliance"]
