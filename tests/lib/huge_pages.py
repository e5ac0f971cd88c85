"""Huge pages of 2 MB for a while.

    with huge_pages.more(96) as got:  # fewer, or none, where the kernel has no more
        ...
"""

import contextlib
import pathlib

_POOL = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


@contextlib.contextmanager
def more(count):
    """As many free ones more; yields how many there are now. Afterwards the pool is as large as it was: those in use
    go when their users do."""
    if not _POOL.exists():
        yield 0
        return
    # Without those that are there for as long as somebody who ended a moment ago still has them.
    before = _read("nr_hugepages") - _read("surplus_hugepages")
    (_POOL / "nr_hugepages").write_text(str(before + count))
    try:
        yield _read("free_hugepages")
    finally:
        (_POOL / "nr_hugepages").write_text(str(before))


def _read(name):
    return int((_POOL / name).read_text())
