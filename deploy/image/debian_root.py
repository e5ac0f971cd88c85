"""A Debian system in a folder, and commands in it."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from testbed.apt import debian_release, host_acquire_settings, mirrors
from testbed.cache import cache_folder, complete_file, locked
from testbed.fetch import CODENAMES

# systemd as the first process, devices and modules.
_ALWAYS = ("kmod", "systemd-sysv", "udev")
# usrmerge is left out: it needs all of Perl, and the hook of _MERGED has merged /bin into /usr/bin before.
_UNWANTED = "Package: usrmerge\nPin: release *\nPin-Priority: -1\n"
_MERGED = "--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr"
# No manuals, since the image runs from memory, and no hardware tables, since the machine is virtual.
_LEFT_OUT = (
    "/usr/share/man/*",
    "/usr/share/locale/*",
    "/usr/share/doc/*",
    "/lib/udev/hwdb.d/*",
    "/usr/lib/x86_64-linux-gnu/gconv/*",
)
_KEPT_SECONDS = 7 * 24 * 3600  # after a week Debian may have newer packages


class DebianRoot:
    """The system below `folder`. Commands in it see no network, and no process but their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a command in it, as root. Raises RuntimeError with its output if it fails and `check` is set."""
        spaces = ["unshare", "--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
        words = [*spaces, "chroot", str(self.folder), *command]
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def write(self, path: str, data: str | bytes, mode: int = 0o644) -> None:
        """Writes a file in it, and the folders above it."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        file.chmod(mode)

    def install(self, package: Path) -> None:
        """Installs a package whose dependencies are installed."""
        name = f"/tmp/{package.name}"
        shutil.copy(package, self.folder / name.lstrip("/"))
        self.run("dpkg", "--install", name)
        (self.folder / name.lstrip("/")).unlink()


def dependencies(package: Path) -> list[str]:
    """Returns the names of the packages that a .deb depends on; of alternatives it takes the first."""
    words = ["dpkg-deb", "--field", str(package), "Depends"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{package} is no Debian package: {done.stderr.strip()}")
    return re.findall(r"(?:^|, )([a-z0-9][a-z0-9+.-]+)", done.stdout)


def base_archive(packages: Sequence[str]) -> Path:
    """Returns a tar archive of this machine's Debian release with `packages` and dependencies, made or cached."""
    names = sorted({*_ALWAYS, *packages})
    codename = CODENAMES[debian_release()]
    archive, security = mirrors()
    key = hashlib.sha256(repr((codename, names, _LEFT_OUT, _UNWANTED)).encode()).hexdigest()[:16]
    folder = cache_folder() / "roots"

    def bootstrap(path: Path) -> None:
        _mmdebstrap(
            [f"--include={','.join(names)}", *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT)],
            [codename, str(path), f"deb {archive} {codename} main", f"deb {security} {codename}-security main"],
        )

    with locked("roots"):
        for old in folder.glob("*.tar"):
            if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
                old.unlink()
        return complete_file(folder / f"{codename}-{key}.tar", bootstrap)


def _mmdebstrap(options: Sequence[str], target: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="sluice-apt-") as name:
        settings = Path(name) / "apt.conf"
        settings.touch(mode=0o600)  # a proxy's address may hold a password
        settings.write_text(host_acquire_settings(), encoding="utf-8")
        (Path(name) / "preferences").write_text(_UNWANTED, encoding="utf-8")
        words = ["mmdebstrap", "--mode=root", "--variant=essential", "--format=tar", f"--aptopt={settings}", _MERGED]
        words += [f"--setup-hook=copy-in {name}/preferences /etc/apt", *options, *target]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"mmdebstrap failed ({done.returncode}):\n{done.stderr[-3000:]}")
