"""Fetches QEMU and guest kernels from Debian into the cache.

Debian 12's own QEMU (7.2) corrupts recent kernels under multi-threaded
emulation, so it is never used; its backports have a newer one.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .apt import AptError, PrivateApt, debian_release
from .cache import cache_folder, complete_folder, locked

OLDEST_FIT_QEMU = 10
_QEMU_PACKAGES = ("qemu-system-x86", "qemu-system-common", "qemu-system-data", "seabios")
CODENAMES = {12: "bookworm", 13: "trixie"}

# The suites that have each kernel series. They must hold no later kernel whose
# name matches the pattern of _download_kernel as well.
SERIES: dict[str, Sequence[str]] = {
    "6.1": ("bookworm", "bookworm-security"),
    "6.12": ("bookworm-backports",),
    "7": ("trixie-backports",),
}


@dataclass(frozen=True)
class Qemu:
    """A QEMU to run: its program, and the libraries that it needs when it is not installed."""

    program: Path
    libraries: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()

    def command(self) -> list[str]:
        """Returns the start of the command line. The libraries are for QEMU alone."""
        prefix: list[str] = []
        if self.libraries:
            prefix = ["env", "LD_LIBRARY_PATH=" + ":".join(map(str, self.libraries))]
        data = [word for folder in self.data for word in ("-L", str(folder))]
        return [*prefix, str(self.program), *data]

    def major_version(self) -> int:
        """The major version, or 0 if the program does not run."""
        try:
            done = subprocess.run([*self.command(), "--version"], capture_output=True, text=True)
        except OSError:
            return 0
        found = re.search(r"version (\d+)\.", done.stdout)
        return int(found.group(1)) if found else 0


@dataclass(frozen=True)
class Kernel:
    """A guest kernel: its image and its modules, with modules.dep made."""

    series: str
    release: str
    image: Path
    modules: Path


def fetch_qemu(refresh: bool = False) -> Qemu:
    """Returns a QEMU for guests: the machine's own if it is recent enough, else a cached one."""
    own = shutil.which("qemu-system-x86_64")
    if own and Qemu(Path(own)).major_version() >= OLDEST_FIT_QEMU:
        return Qemu(Path(own))
    folder = cache_folder() / "qemu"
    with locked("qemu"):
        # A cached QEMU stops working when a library that it used is removed from the machine.
        if refresh or (folder.is_dir() and not _cached_qemu(folder).major_version()):
            shutil.rmtree(folder, ignore_errors=True)
        complete_folder(folder, _download_qemu)
    return _cached_qemu(folder)


def _cached_qemu(folder: Path) -> Qemu:
    libraries = [folder / "usr/lib/x86_64-linux-gnu", folder / "lib/x86_64-linux-gnu"]
    # Plug-in libraries are one level down.
    libraries += [path.parent for path in libraries[0].glob("*/lib*.so.*")]
    data = [folder / "usr/share" / name for name in ("qemu", "seabios")]
    return Qemu(
        program=folder / "usr/bin/qemu-system-x86_64",
        libraries=tuple(dict.fromkeys(path for path in libraries if path.is_dir())),
        data=tuple(path for path in data if path.is_dir()),
    )


def _download_qemu(into: Path) -> None:
    release = debian_release()
    if release not in CODENAMES:
        raise AptError(f"install QEMU {OLDEST_FIT_QEMU} or later: unknown Debian {release}")
    codename = CODENAMES[release]
    suites = [codename, f"{codename}-security"]
    newer = f"{codename}-backports" if release == 12 else None
    if newer:
        suites.append(newer)
    with PrivateApt(cache_folder() / "apt-qemu", suites) as apt:
        apt.unpack(apt.missing(_QEMU_PACKAGES, newer), into)
    version = _cached_qemu(into).major_version()
    if version < OLDEST_FIT_QEMU:
        raise AptError(f"the QEMU unpacked to {into} does not run, or is too old ({version})")


def fetch_kernel(series: str, refresh: bool = False) -> Kernel:
    """Returns the newest kernel of a series ("6.1", "6.12", "7"), from the cache if it is there."""
    if series not in SERIES:
        raise ValueError(f"unknown kernel series {series!r}; known: {', '.join(SERIES)}")
    folder = cache_folder() / "kernels" / series
    with locked(f"kernel-{series}"):
        if refresh:
            shutil.rmtree(folder, ignore_errors=True)
        complete_folder(folder, lambda into: _download_kernel(series, into))
    release = (folder / "release").read_text(encoding="ascii").strip()
    return Kernel(
        series=series,
        release=release,
        image=folder / "vmlinuz",
        modules=folder / "lib/modules" / release,
    )


def _download_kernel(series: str, into: Path) -> None:
    # Not the real-time and cloud flavours, which have a word before amd64.
    pattern = rf"linux-image-{re.escape(series)}\.[0-9.]+(-\d+)?(\+[a-z0-9.]+)?-amd64"
    unpacked = into / "packages"
    unpacked.mkdir()
    with PrivateApt(cache_folder() / f"apt-{series}", SERIES[series]) as apt:
        found = apt.names(pattern)
        if not found:
            raise AptError(f"no kernel {series} in {', '.join(SERIES[series])}")
        newest = max(found, key=lambda name: [int(n) for n in re.findall(r"\d+", name)])
        release = newest.removeprefix("linux-image-")
        # Newer kernels come as several packages, each with the release in its name.
        parts = [name for name in apt.depends(newest) if name.endswith(release)]
        apt.unpack([newest, *parts], unpacked)
    # The place of image and modules in the packages, and the place where depmod
    # expects them, differ between releases.
    tree = next(path for path in unpacked.glob(f"**/modules/{release}") if path.is_dir())
    images = (unpacked / f"boot/vmlinuz-{release}", tree / "vmlinuz")
    next(path for path in images if path.is_file()).rename(into / "vmlinuz")
    (into / "usr/lib/modules").mkdir(parents=True)
    (into / "lib").symlink_to("usr/lib")
    tree.rename(into / "usr/lib/modules" / release)
    shutil.rmtree(unpacked)
    depmod = shutil.which("depmod", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if depmod is None:
        raise AptError("depmod is missing: install kmod")
    subprocess.run([depmod, "-b", str(into), release], check=True)
    (into / "release").write_text(release + "\n", encoding="ascii")
