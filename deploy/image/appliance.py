"""Kernel and initramfs of a guest that comes up forwarding."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from guest.apt import debian_release
from guest.fetch import Kernel, fetch_kernel
from guest.modules import AT_BOOT, ON_DEMAND, ModuleTree

from .debian_root import DebianRoot, base_archive, dependencies

# Debian's kernel for each of its releases, as guest.fetch calls it.
_KERNEL_SERIES = {12: "6.1", 13: "6.12"}
# What depmod wants to know beside the modules themselves.
_MODULE_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


@dataclass(frozen=True)
class Appliance:
    """What to boot: `kernel` with `initramfs`."""

    kernel: Kernel
    initramfs: Path


def build_appliance(
    package: Path,
    config: str,
    initramfs: Path,
    packages: Sequence[str] = (),
    change: Callable[[DebianRoot], None] = lambda root: None,
) -> Appliance:
    """Writes an initramfs with Debian, Sluice's `package`, `config` as its configuration, and further `packages`.

    `change` may do to the system what it likes before it is packed.
    """
    kernel = fetch_kernel(_KERNEL_SERIES[debian_release()])
    archive = base_archive([*dependencies(package), *packages])
    with tempfile.TemporaryDirectory(prefix="sluice-image-", dir=initramfs.parent) as name:
        root = DebianRoot(Path(name) / "root")
        root.folder.mkdir()
        subprocess.run(["tar", "-C", str(root.folder), "--numeric-owner", "-xf", str(archive)], check=True)
        root.install(package)
        root.write("/etc/sluice/sluice.toml", config)
        root.write("/etc/hostname", "sluice\n")
        _add_modules(root, kernel)
        (root.folder / "init").symlink_to("usr/lib/systemd/systemd")
        change(root)
        _pack(root.folder, initramfs)
    return Appliance(kernel, initramfs)


def _add_modules(root: DebianRoot, kernel: Kernel) -> None:
    tree = ModuleTree(kernel)
    folder = f"/usr/lib/modules/{kernel.release}"
    for module in tree.closure([*AT_BOOT, *ON_DEMAND]):
        root.write(f"{folder}/{module.guest_path()}", module.content())
    for name in _MODULE_LISTS:
        shutil.copy(kernel.modules / name, root.folder / folder.lstrip("/"))
    root.run("depmod", kernel.release)


def _pack(folder: Path, archive: Path) -> None:
    # Uncompressed: for an emulated CPU unpacking costs more than loading.
    names = subprocess.run(["find", ".", "-print0"], cwd=folder, check=True, capture_output=True).stdout
    words = ["cpio", "--null", "--create", "--format=newc", "--quiet", "--reproducible"]
    with archive.open("wb") as out:
        subprocess.run(words, cwd=folder, input=names, stdout=out, check=True)
