"""A guest image with Sluice in it: Debian by mmdebstrap, Sluice by its package, Debian's kernel.

It runs from memory: a kernel and an initramfs, in which systemd is the first
process. Nothing is partitioned, and every boot begins as it was built.
"""

from .appliance import build_appliance, kernel_series
from .debian_root import DebianRoot, base_archive, dependencies

__all__ = ["DebianRoot", "base_archive", "build_appliance", "dependencies", "kernel_series"]
