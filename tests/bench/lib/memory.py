"""Memory of processes and of the kernel, in bytes, from /proc."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

_KIB = 1024
# One mapping of /proc/PID/smaps begins with its addresses; other lines are 'Name: value kB'.
_MAPPING = re.compile(r"^[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ \d+\s*(.*)$")


def mappings(pid: int) -> dict[str, dict[str, int]]:
    """Returns, by kind of mapping, the sums of 'Size', 'Pss' and the other values of smaps. Kinds: 'lanes' (their
    memfds), 'stats', 'rings' (of sockets), 'files' (program and libraries), 'private' (heap, stacks, the rest)."""
    sums: dict[str, dict[str, int]] = {}
    kind = "private"
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="utf-8").splitlines():
        begins = _MAPPING.match(line)
        if begins:
            kind = _kind(begins[1])
        elif line.endswith(" kB"):
            name, value = line[:-3].split(":")
            of = sums.setdefault(kind, {})
            of[name] = of.get(name, 0) + int(value) * _KIB
    return sums


def _kind(name: str) -> str:
    if "memfd:sluice-lane" in name or "memfd:sluice-bridge" in name:
        return "lanes"
    if "memfd:" in name:
        return "stats"
    if name.startswith("socket:"):
        return "rings"
    return "files" if name.startswith("/") else "private"


def bpf_maps(pids: Iterable[int]) -> int:
    """Returns the bytes of all BPF maps that these processes hold, by the kernel's account (bpf_map_memory_usage)."""
    maps: dict[str, int] = {}
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fdinfo").glob("*"):
            try:
                fields = dict(line.split(":\t", 1) for line in entry.read_text(encoding="ascii").splitlines()
                              if ":\t" in line)
            except OSError:
                continue  # closed meanwhile
            if "map_id" in fields:
                maps[fields["map_id"]] = int(fields["memlock"])
    return sum(maps.values())


def kernel() -> dict[str, int]:
    """Returns the machine's 'slab', 'vmalloc', 'percpu', 'page tables' and 'huge pages', and 'used': all memory but the
    free memory and the caches that the kernel gives back on demand."""
    text = Path("/proc/meminfo").read_text(encoding="ascii")
    of = {name: int(value) for name, value in re.findall(r"^(\S+):\s+(\d+)", text, re.MULTILINE)}
    kib = {"slab": of["SUnreclaim"], "vmalloc": of["VmallocUsed"], "percpu": of["Percpu"],
           "page tables": of["PageTables"], "huge pages": (of["HugePages_Total"] - of["HugePages_Free"]) *
           of["Hugepagesize"],
           "used": of["MemTotal"] - of["MemFree"] - of["Buffers"] - of["Cached"] + of["Shmem"] - of["SReclaimable"] -
           of["HugePages_Free"] * of["Hugepagesize"]}
    return {name: value * _KIB for name, value in kib.items()}
