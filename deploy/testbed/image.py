"""Builds the initramfs a guest runs from.

It consists of two archives: the base (busybox, kernel modules, network tools),
which is made once per kernel, and the caller's files, which are packed quickly
whenever they change. Neither is compressed, since unpacking costs more than loading.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from .cache import cache_folder, complete_file, locked
from .cpio import CpioWriter
from .fetch import Kernel
from .modules import AT_BOOT, ON_DEMAND, ModuleTree

TOOLS = ("ip", "tc", "ss", "ethtool", "xdp-loader", "xdp-filter", "bpftool")
# busybox's shell, and its programs that run others, take busybox's ip and tc
# whatever PATH says. So the guest gets dash for sh, and the real programs of these.
_RUNNERS = (
    "dash",
    "env",
    "nice",
    "nohup",
    "nsenter",
    "setsid",
    "taskset",
    "timeout",
    "unshare",
    "xargs",
)
_HERE = Path(__file__).parent
_SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
_MERGED = ("bin", "sbin", "lib", "lib64")
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
_KEPT_SECONDS = 2 * 3600  # much longer than QEMU takes to read an image

_ETC = {
    "passwd": "root:x:0:0:root:/root:/bin/sh\n"
    "sluice-dataplane:x:990:990:Sluice dataplane:/nonexistent:/bin/false\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "group": "root:x:0:\nsluice-dataplane:x:990:\nsluice:x:991:\nsluice-admin:x:992:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "hosts": "127.0.0.1 localhost sluice\n::1 localhost\n",
    "profile": "PS1='sluice-guest:\\w# '\n"
    + "".join(f"alias {name}=/usr/sbin/{name}\n" for name in TOOLS + _RUNNERS),
}
_MOUNT_POINTS = ("dev", "proc", "sys", "run", "root", "etc", "var/log", "var/tmp")


@dataclass(frozen=True)
class GuestFile:
    """A file for the guest: `source` is a path on this machine, or the content.

    A program's shared libraries are added. The mode is the source's, unless
    given.
    """

    guest_path: str
    source: Path | str | bytes
    mode: int | None = None

    def read(self) -> tuple[bytes, int]:
        """The content and the mode."""
        if isinstance(self.source, bytes):
            return self.source, 0o644 if self.mode is None else self.mode
        path = Path(self.source)
        own_mode = 0o755 if os.access(path, os.X_OK) else 0o644
        return path.read_bytes(), own_mode if self.mode is None else self.mode


def _merged(path: str) -> str:
    """`path` with /bin, /lib and so on written as /usr/bin, /usr/lib."""
    top = path.lstrip("/").split("/", 1)[0]
    return f"/usr/{path.lstrip('/')}" if top in _MERGED else "/" + path.lstrip("/")


def _libraries(program: Path) -> Iterable[GuestFile]:
    """The shared libraries a program needs, the loader among them."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True)
    if "not found" in done.stdout:
        raise FileNotFoundError(f"{program} lacks libraries:\n{done.stdout}")
    for name, path in re.findall(r"^\s*(?:(\S+) => )?(/\S+) \(0x", done.stdout, re.MULTILINE):
        at_home = _merged(path).startswith(("/usr/lib/", "/usr/lib64/"))
        yield GuestFile(path if at_home else f"{_LIBRARIES}/{name}", path)


def _with_libraries(files: Iterable[GuestFile]) -> list[GuestFile]:
    """The files and their libraries, each guest path once."""
    chosen: dict[str, GuestFile] = {}
    for file in files:
        chosen[_merged(file.guest_path)] = file
        if isinstance(file.source, bytes):
            continue
        with open(file.source, "rb") as handle:
            magic = handle.read(18)
        # Only of programs and shared objects: BPF objects are ELF files, too.
        if magic[:4] == b"\x7fELF" and magic[16] in (2, 3):
            for library in _libraries(Path(file.source)):
                chosen.setdefault(_merged(library.guest_path), library)
    return list(chosen.values())


def _layer(files: Iterable[GuestFile]) -> bytes:
    out = io.BytesIO()
    archive = CpioWriter(out)
    for file in files:
        archive.file(_merged(file.guest_path), *file.read())
    archive.finish()
    return out.getvalue()


def _tools() -> list[GuestFile]:
    """The network tools, and the objects libxdp loads its dispatcher from."""
    files = []
    for name in (*TOOLS, *_RUNNERS):
        found = shutil.which(name, path=_SEARCH)
        if found is None:
            raise FileNotFoundError(f"{name} is missing: run deploy/install-deps guest")
        files.append(GuestFile(f"/usr/sbin/{name}", os.path.realpath(found)))
    listing = subprocess.run(
        ["dpkg-query", "-L", "libxdp1", "xdp-tools"], check=True, capture_output=True, text=True
    )
    objects = re.findall(r"^(/\S+/bpf/\S+\.o)$", listing.stdout, re.MULTILINE)
    return _with_libraries([*files, *(GuestFile(path, path) for path in objects)])


def _base_key(kernel: Kernel, tools: Sequence[GuestFile], modules: Sequence[str]) -> str:
    """Returns the base layer's name: a hash of all inputs, in which an installed file counts by size and time."""
    digest = hashlib.sha256(repr((kernel.release, modules, _ETC)).encode())
    for script in sorted(path for path in _HERE.iterdir() if path.is_file()):
        digest.update(script.read_bytes())
    for path in ["/bin/busybox", *(str(file.source) for file in tools)]:
        status = os.stat(path)
        digest.update(f"{path} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()[:16]


def _write_base(
    out: BinaryIO, kernel: Kernel, tools: Sequence[GuestFile], extra: Sequence[str]
) -> None:
    archive = CpioWriter(out)
    for folder in _MOUNT_POINTS:
        archive.folder(folder)
    archive.folder("tmp", 0o1777)
    for name in _MERGED:
        archive.folder(f"usr/{name}")
        archive.link(name, f"usr/{name}")
    for name, text in _ETC.items():
        archive.file(f"etc/{name}", text.encode())
    archive.file("init", (_HERE / "init").read_bytes(), 0o755)
    archive.file("usr/lib/guest/serve", (_HERE / "serve").read_bytes(), 0o755)

    archive.file("usr/bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
    applets = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True)
    for applet in sorted(set(applets.stdout.split()) - {*TOOLS, *_RUNNERS, "busybox", "sh"}):
        archive.link(f"usr/bin/{applet}", "busybox")
    archive.link("usr/bin/sh", "../sbin/dash")
    archive.link("usr/bin/env", "../sbin/env")
    archive.link("usr/sbin/modprobe", "../bin/busybox")  # where the kernel looks for it

    tree = ModuleTree(kernel)
    folder = f"usr/lib/modules/{kernel.release}"
    modules = tree.closure([*AT_BOOT, *ON_DEMAND, *extra])
    for module in modules:
        archive.file(f"{folder}/{module.guest_path()}", module.content())
    for name, data in tree.index(modules).items():
        archive.file(f"{folder}/{name}", data)
    at_boot = [module.name for module in tree.closure(AT_BOOT)]
    archive.file("etc/modules-at-boot", "".join(f"{name}\n" for name in at_boot).encode())

    for file in tools:
        archive.file(_merged(file.guest_path), *file.read())
    archive.finish()


def _forget_old_images(folder: Path) -> None:
    for image in folder.glob("*.cpio"):
        if time.time() - image.stat().st_mtime > _KEPT_SECONDS:
            image.unlink(missing_ok=True)


def build_image(
    kernel: Kernel, files: Iterable[GuestFile] = (), modules: Sequence[str] = ()
) -> Path:
    """Returns the initramfs for a kernel, with the given files and further kernel modules."""
    folder = cache_folder() / "images"
    tools = _tools()
    base_key = _base_key(kernel, tools, modules)
    layer = _layer(_with_libraries(files))
    key = f"{base_key}-{hashlib.sha256(layer).hexdigest()[:16]}"

    def write_base(path: Path) -> None:
        with path.open("wb") as out:
            _write_base(out, kernel, tools, modules)

    def write_image(path: Path) -> None:
        base = complete_file(folder / f"base-{base_key}.cpio", write_base)
        os.utime(base)
        with path.open("wb") as out, base.open("rb") as start:
            shutil.copyfileobj(start, out, 1 << 20)
            out.write(layer)
        _forget_old_images(folder)

    with locked("images"):
        image = complete_file(folder / f"{key}.cpio", write_image)
        os.utime(image)
        return image
