"""A Debian 13 system in the cache, with everything installed that Sluice is built and tested with.

    with debian13_root() as root:
        root.run("deploy/quickstart")        # in a copy of this tree

A command in it sees this machine's devices and kernel, but has its own processes, mounts and bpffs; all end with it.
The compiler's cache and the guests' kernels stay for the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.lib import build

sys.path.insert(0, str(build.REPOSITORY / "deploy"))

from testbed.apt import host_acquire_settings, mirrors  # noqa: E402
from testbed.cache import cache_folder, complete_folder, locked  # noqa: E402
from testbed.undo import Undo  # noqa: E402

CODENAME = "trixie"
GROUPS = ("build", "test", "guest")
KEPT_SECONDS = 7 * 24 * 3600  # after a week Debian may have newer packages
SOURCE = "/src"
# $1 is the root; the rest is the command.
ENTER = f"""set -e
root=$1; shift
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount -t bpf -o mode=0700 bpf "$root/sys/fs/bpf"
mount -t tmpfs tmpfs "$root/run"
cp --dereference /etc/resolv.conf "$root/etc/resolv.conf"
exec chroot "$root" sh -c 'cd {SOURCE} && exec "$@"' sh "$@"
"""


class Root:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, timeout: float = 3600, **environment: str) -> str:
        """Runs a command in the copy of the tree. Returns its output; an AssertionError has the end of it."""
        words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                 "sh", "-c", ENTER, "sh", str(self.folder), *command]
        env = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
               "DEBIAN_FRONTEND": "noninteractive", **environment}
        done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}\n{done.stdout[-8000:]}"
        return done.stdout

    def take_tree(self) -> None:
        """Copies the files of this tree, those that git does not know yet too."""
        source = self.folder / SOURCE.lstrip("/")
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        git = ["git", "-C", str(build.REPOSITORY)]
        listed = subprocess.run([*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                                stdout=subprocess.PIPE, check=True).stdout
        there = b"\0".join(name for name in listed.split(b"\0") if name and (build.REPOSITORY / name.decode()).exists())
        pack = ["tar", "-C", str(build.REPOSITORY), "--null", "--no-recursion", "-T", "-", "-c"]
        packed = subprocess.run(pack, input=there, stdout=subprocess.PIPE, check=True).stdout
        subprocess.run(["tar", "-C", str(source), "--no-same-owner", "-x"], input=packed, check=True)


def _bootstrap(folder: Path) -> None:
    archive, security = mirrors()
    with tempfile.TemporaryDirectory(prefix="sluice-apt-") as name:
        settings = Path(name) / "apt.conf"
        settings.touch(mode=0o600)  # a proxy's address may hold a password
        settings.write_text(host_acquire_settings(), encoding="utf-8")
        sources = [f"deb {archive} {CODENAME} main", f"deb {security} {CODENAME}-security main"]
        words = ["mmdebstrap", "--mode=root", "--variant=minbase", f"--aptopt={settings}", CODENAME, str(folder)]
        done = subprocess.run([*words, *sources], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"mmdebstrap failed ({done.returncode}):\n{done.stderr[-3000:]}"
    root = Root(folder)
    root.take_tree()
    root.run("deploy/install-deps", *GROUPS)


@contextlib.contextmanager
def debian13_root() -> Iterator[Root]:
    """Yields the root, with a fresh copy of the tree in it. One run at a time."""
    key = hashlib.sha256((build.REPOSITORY / "deploy/install-deps").read_bytes()).hexdigest()[:16]
    folder = cache_folder() / "debian13"
    # Commands in the root end with this process (Undo), so nobody uses a root whose lock is free.
    with locked("debian13"), Undo():
        for old in folder.glob("[!.]*"):
            if old.name != key or time.time() - old.stat().st_ctime > KEPT_SECONDS:
                shutil.rmtree(old)
        root = Root(complete_folder(folder / key, _bootstrap))
        root.take_tree()
        yield root
