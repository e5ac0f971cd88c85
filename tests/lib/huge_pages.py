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
    pool = _POOL / "nr_hugepages"
    if not pool.exists():
        yield 0
        return
    before = pool.read_text()
    pool.write_text(str(int(before) + count))
    try:
        yield int((_POOL / "free_hugepages").read_text())
    finally:
        pool.write_text(before)
