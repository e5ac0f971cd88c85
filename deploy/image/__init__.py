"""A guest image with Sluice in it: Debian by mmdebstrap, Sluice by its package, Debian's kernel.

It runs from memory: a kernel and an initramfs, in which systemd is the first
process. There are no partitions, and every boot begins with the built state.
"""

from .appliance import build_appliance, kernel_series
from .debian_root import DebianRoot, base_archive, dependencies

__all__ = ["DebianRoot", "base_archive", "build_appliance", "dependencies", "kernel_series"]
