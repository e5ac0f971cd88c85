"""Fills the cache ahead of time, or renews it.

    python3 -m testbed [--refresh] [qemu] [SERIES ...]        (in deploy/)
"""

from __future__ import annotations

import argparse

from .fetch import SERIES, fetch_kernel, fetch_qemu


def main() -> None:
    """Fetches the things named on the command line, by default everything."""
    parser = argparse.ArgumentParser(
        prog="python3 -m testbed", description="Fetch QEMU and guest kernels into the cache."
    )
    parser.add_argument("--refresh", action="store_true", help="download again")
    parser.add_argument("what", nargs="*", metavar="qemu|SERIES", help="default: all of them")
    chosen = parser.parse_args()
    for name in chosen.what or ["qemu", *SERIES]:
        if name == "qemu":
            print(fetch_qemu(chosen.refresh).program)
        elif name in SERIES:
            print(fetch_kernel(name, chosen.refresh).image)
        else:
            parser.error(f"unknown: {name}; known: qemu, {', '.join(SERIES)}")


if __name__ == "__main__":
    main()
