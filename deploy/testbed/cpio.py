"""Writes cpio archives in the "newc" form, which the kernel unpacks at boot."""

from __future__ import annotations

import stat
from pathlib import PurePosixPath
from typing import BinaryIO


class CpioWriter:
    """An archive being written. Parent folders are made as they are needed.

    Owners and times are always zero, so the same content is the same archive.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._folders: set[str] = set()
        self._inode = 0

    def folder(self, path: str, mode: int = 0o755) -> None:
        """Adds a folder and the folders above it."""
        pure = PurePosixPath(path.lstrip("/"))
        for parent in reversed(pure.parents[:-1]):
            self._one_folder(str(parent), 0o755)
        if pure.parts:
            self._one_folder(str(pure), mode)

    def _one_folder(self, path: str, mode: int) -> None:
        if path not in self._folders:
            self._folders.add(path)
            self._entry(path, stat.S_IFDIR | mode, b"")

    def file(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Adds a regular file."""
        self.folder(str(PurePosixPath(path).parent))
        self._entry(path, stat.S_IFREG | mode, data)

    def link(self, path: str, target: str) -> None:
        """Adds a symbolic link."""
        self.folder(str(PurePosixPath(path).parent))
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def finish(self) -> None:
        """Ends the archive. Another may follow it in the same file."""
        self._entry("TRAILER!!!", 0, b"")
        self._pad(512)

    def _entry(self, path: str, mode: int, data: bytes) -> None:
        name = path.lstrip("/").encode() + b"\0"
        # Each entry has another inode: equal ones would be hard links.
        self._inode += 1
        numbers = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        self._out.write(b"070701" + b"".join(b"%08X" % number for number in numbers) + name)
        self._pad(4)
        self._out.write(data)
        self._pad(4)

    def _pad(self, boundary: int) -> None:
        self._out.write(bytes(-self._out.tell() % boundary))
