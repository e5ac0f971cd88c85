"""DPDK's testpmd from Debian's packages, unpacked into the guests' cache. It runs from there, or is put into a guest.

The packages are not installed on this machine: dpdk-dev, which has testpmd, depends on 200 packages on Debian 12, a new
systemd among them. A guest gets testpmd, the libraries it is linked with, and the drivers of _DRIVERS.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.lib.vm import GuestFile  # first: it puts deploy/ on the path

from testbed.apt import PrivateApt, debian_release  # isort: skip
from testbed.cache import cache_folder, complete_folder, locked  # isort: skip
from testbed.fetch import CODENAMES  # isort: skip

PROGRAM = "usr/bin/dpdk-testpmd"
_PACKAGE = "dpdk-dev"
# Of the packages that dpdk-dev depends on, only libraries are unpacked: no headers, and nothing that starts services.
_LIBRARY = re.compile(r"(?:lib(?!systemd|udev|nss|pam)[a-z0-9.+-]*|ibverbs-providers)(?<!-dev)=")
_DRIVERS = ("librte_bus_pci", "librte_bus_vdev", "librte_mempool_ring", "librte_net_virtio")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"
# The library of coreutils' stdbuf. Preloaded, with BUFFER_LINES in the environment, it makes a program write each line
# at once, to a file too. Without it testpmd's prompt appears before the answer to the command.
BUFFER_LIBRARY = "/usr/libexec/coreutils/libstdbuf.so"
BUFFER_LINES = "_STDBUF_O=L"


def _download(into: Path) -> None:
    codename = CODENAMES[debian_release()]
    with PrivateApt(cache_folder() / "apt-dpdk", [codename, f"{codename}-security"]) as apt:
        wanted = apt.missing([_PACKAGE], None)
        apt.unpack([p for p in wanted if p.startswith(f"{_PACKAGE}=") or _LIBRARY.match(p)], into)


def fetch() -> Path:
    """Returns the folder in which the packages are unpacked; downloads them first if needed."""
    with locked("dpdk"):
        return complete_folder(cache_folder() / "dpdk", _download)


def library_path(folder: Path) -> str:
    """Returns LD_LIBRARY_PATH for programs of the unpacked packages."""
    tops = [folder / _LIBRARIES, folder / "lib/x86_64-linux-gnu"]
    search = [*tops, *(path for path in tops[0].iterdir() if path.is_dir()), *tops[0].glob("dpdk/pmds-*")]
    return ":".join(map(str, search))


def _linked(program: Path, folder: Path) -> dict[str, Path]:
    """Returns the shared libraries that a program needs: name -> path on this machine."""
    env = {**os.environ, "LD_LIBRARY_PATH": library_path(folder)}
    done = subprocess.run(["ldd", str(program)], env=env, capture_output=True, text=True, check=True)
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE)
    if missing:
        raise FileNotFoundError(f"{program.name} lacks {', '.join(sorted(set(missing)))}")
    return {name: Path(path) for name, path in re.findall(r"^\s*(\S+) => (/\S+) \(0x", done.stdout, re.MULTILINE)}


def drivers_to_load(folder: Path, names: Sequence[str]) -> list[Path]:
    """Returns the drivers that testpmd is not linked with, since a driver that is loaded twice would register itself
    twice. Their names have the full version: EAL loads no others from its folder (eal_plugindir_init)."""
    found = [path for path in (folder / _LIBRARIES).glob("dpdk/pmds-*/*.so.*.*") if path.name.split(".", 1)[0] in names]
    if len(found) != len(names):
        raise FileNotFoundError(f"of {', '.join(names)} only {[path.name for path in found]} are there")
    linked = _linked(folder / PROGRAM, folder)
    return [path for path in found if path.name.rsplit(".", 1)[0] not in linked]


def files() -> list[GuestFile]:
    """Returns testpmd's files for a guest, as bytes, since the image's builder does not know where its libraries are.
    """
    folder = fetch()
    program = folder / PROGRAM
    drivers = drivers_to_load(folder, _DRIVERS)
    libraries = _linked(program, folder)
    for path in drivers:
        libraries = {**_linked(path, folder), **libraries}
    made = [GuestFile("/usr/bin/dpdk-testpmd", program.read_bytes(), 0o755), GuestFile(BUFFER_LIBRARY, BUFFER_LIBRARY)]
    made += [GuestFile(f"/{path.relative_to(folder)}", path.read_bytes()) for path in drivers]
    made += [GuestFile(f"/{_LIBRARIES}/{name}", path.read_bytes(), 0o755) for name, path in libraries.items()]
    return made


if __name__ == "__main__":
    print(f"{sum(len(file.read()[0]) for file in files()):,} bytes in {len(files())} files", file=sys.stderr)
