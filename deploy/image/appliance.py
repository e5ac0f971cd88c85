"""Kernel and initramfs of a guest that forwards packets from its start."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from testbed.apt import debian_release
from testbed.fetch import Kernel, fetch_kernel
from testbed.modules import AT_BOOT, ON_DEMAND, ModuleTree

from .debian_root import DebianRoot, base_archive, dependencies

# Each Debian release's kernel, by its name in testbed.fetch.
_KERNEL_SERIES = {12: "6.1", 13: "6.12"}
# The files that depmod needs besides the modules.
_MODULE_LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")


def kernel_series() -> str:
    """The kernel series of the images made here."""
    return _KERNEL_SERIES[debian_release()]


def build_appliance(
    package: Path, config: str, out: Path, packages: Sequence[str] = (), added: Path | None = None
) -> Kernel:
    """Writes a guest's kernel (out/vmlinuz) and its initramfs (out/initrd.img); returns the kernel.

    The initramfs has Debian, Sluice's `package`, `config` as its configuration, further `packages`, and over them the
    files of the folder `added`. Raises RuntimeError or CalledProcessError if a program fails, as `sluicectl config
    check` does on a configuration with mistakes; there is no image then.
    """
    kernel = fetch_kernel(kernel_series())
    archive = base_archive([*dependencies(package), *packages])
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sluice-image-", dir=out) as name:
        root = DebianRoot(Path(name) / "root")
        root.folder.mkdir()
        subprocess.run(["tar", "-C", str(root.folder), "--numeric-owner", "-xf", str(archive)], check=True)
        root.install(package)
        root.write("/etc/sluice/sluice.toml", config)
        root.run("sluicectl", "config", "check", "/etc/sluice/sluice.toml")
        root.write("/etc/hostname", "sluice\n")
        _add_modules(root, kernel)
        (root.folder / "init").symlink_to("usr/lib/systemd/systemd")
        if added is not None:
            subprocess.run(["cp", "--archive", f"{added}/.", str(root.folder)], check=True)
        _pack(root.folder, out / "initrd.img")
    shutil.copy(kernel.image, out / "vmlinuz")
    return kernel


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
