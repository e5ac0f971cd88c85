"""The cache folder: everything that is downloaded or built for guests.

An entry appears in one rename when it is complete, so every entry can be
trusted, and an interrupted download leaves nothing that looks like one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path


def cache_folder() -> Path:
    """The cache's root: $SLUICE_CACHE, or else /var/cache/sluice."""
    folder = Path(os.environ.get("SLUICE_CACHE") or "/var/cache/sluice")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Holds the lock `name`, so that two runs do not do the same work at once."""
    with open(cache_folder() / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _forget_partial(path: Path) -> None:
    """Removes the unfinished folders that killed processes left for `path`."""
    for partial in path.parent.glob(f".{path.name}-*"):
        if partial.is_dir():
            shutil.rmtree(partial, ignore_errors=True)
        else:
            partial.unlink(missing_ok=True)


def complete_folder(path: Path, fill: Callable[[Path], None]) -> Path:
    """Returns the folder `path`, filling it first if it is not there yet.

    The caller holds a lock that every process takes before it fills this path.
    """
    if path.is_dir():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget_partial(path)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    try:
        partial.chmod(0o755)
        fill(partial)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return path


def complete_file(path: Path, fill: Callable[[Path], None]) -> Path:
    """Returns the file `path`, writing it first if it is not there yet. The same lock as for a folder is needed."""
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    _forget_partial(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        fill(partial)
        partial.rename(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
