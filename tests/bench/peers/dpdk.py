"""DPDK's testpmd from Debian's packages, unpacked into the guests' cache and put into a guest.

Not installed on this machine: dpdk-dev, which testpmd is in, wants 200 packages on Debian 12, systemd's newest among
them. A guest gets testpmd, the libraries it is linked with, and the drivers of _DRIVERS.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.lib.vm import GuestFile  # first: it puts deploy/ on the path

from guest.apt import PrivateApt, debian_release  # isort: skip
from guest.cache import cache_folder, complete_folder, locked  # isort: skip
from guest.fetch import CODENAMES  # isort: skip

_PACKAGE = "dpdk-dev"
# Of what dpdk-dev wants: libraries. Neither headers nor what starts services.
_LIBRARY = re.compile(r"(?:lib(?!systemd|udev|nss|pam)[a-z0-9.+-]*|ibverbs-providers)(?<!-dev)=")
_DRIVERS = ("librte_bus_pci", "librte_bus_vdev", "librte_mempool_ring", "librte_net_virtio")
_LIBRARIES = "usr/lib/x86_64-linux-gnu"


def _download(into: Path) -> None:
    codename = CODENAMES[debian_release()]
    with PrivateApt(cache_folder() / "apt-dpdk", [codename, f"{codename}-security"]) as apt:
        wanted = apt.missing([_PACKAGE], None)
        apt.unpack([p for p in wanted if p.startswith(f"{_PACKAGE}=") or _LIBRARY.match(p)], into)


def fetch() -> Path:
    """The folder the packages are unpacked in."""
    with locked("dpdk"):
        return complete_folder(cache_folder() / "dpdk", _download)


def _linked(program: Path, folder: Path) -> dict[str, Path]:
    """The shared libraries a program needs: name -> where it is here."""
    tops = [folder / _LIBRARIES, folder / "lib/x86_64-linux-gnu"]
    search = [*tops, *(path for path in tops[0].iterdir() if path.is_dir()), *tops[0].glob("dpdk/pmds-*")]
    env = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, search))}
    done = subprocess.run(["ldd", str(program)], env=env, capture_output=True, text=True, check=True)
    missing = re.findall(r"^\s*(\S+) => not found", done.stdout, re.MULTILINE)
    if missing:
        raise FileNotFoundError(f"{program.name} lacks {', '.join(sorted(set(missing)))}")
    return {name: Path(path) for name, path in re.findall(r"^\s*(\S+) => (/\S+) \(0x", done.stdout, re.MULTILINE)}


def files() -> list[GuestFile]:
    """testpmd for a guest. As bytes: where its libraries are is known here, and not to the image's builder."""
    folder = fetch()
    program = folder / "usr/bin/dpdk-testpmd"
    # By their full version, the only name under which EAL loads what is in its folder (eal_plugindir_init).
    drivers = [path for path in (folder / _LIBRARIES).glob("dpdk/pmds-*/*.so.*.*")
               if path.name.split(".", 1)[0] in _DRIVERS]
    if len(drivers) != len(_DRIVERS):
        raise FileNotFoundError(f"of {', '.join(_DRIVERS)} only {[path.name for path in drivers]} are there")
    libraries = _linked(program, folder)
    # A driver that testpmd is linked with must not be there twice: it would register itself twice.
    drivers = [path for path in drivers if path.name.rsplit(".", 1)[0] not in libraries]
    for path in drivers:
        libraries = {**_linked(path, folder), **libraries}
    made = [GuestFile("/usr/bin/dpdk-testpmd", program.read_bytes(), 0o755)]
    made += [GuestFile(f"/{path.relative_to(folder)}", path.read_bytes()) for path in drivers]
    made += [GuestFile(f"/{_LIBRARIES}/{name}", path.read_bytes(), 0o755) for name, path in libraries.items()]
    return made


if __name__ == "__main__":
    print(f"{sum(len(file.read()[0]) for file in files()):,} bytes in {len(files())} files", file=sys.stderr)
