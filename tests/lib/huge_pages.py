"""Adds huge pages of 2 MB while a block lasts.

    with huge_pages.more(96) as got:  # fewer, or none, where the kernel has no more
        ...
"""

import contextlib
import pathlib
import sys

from tests.lib import build

sys.path.insert(0, str(build.REPOSITORY / "deploy"))
from testbed.undo import Undo  # noqa: E402

_POOL = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB")


@contextlib.contextmanager
def more(count):
    """Adds `count` free huge pages and yields the number that is free then. Afterwards the pool has its former size:
    pages still in use are freed when their users end."""
    if not _POOL.exists():
        yield 0
        return
    # Surplus pages are not counted: they exist only until a process that ended a moment ago has given them back.
    before = _read("nr_hugepages") - _read("surplus_hugepages")
    with Undo() as undo:
        undo.content(_POOL / "nr_hugepages", str(before))
        (_POOL / "nr_hugepages").write_text(str(before + count))
        yield _read("free_hugepages")


def _read(name):
    return int((_POOL / name).read_text())
