"""Picks a guest's kernel modules, with all their dependencies, in loading order."""

from __future__ import annotations

import lzma
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .fetch import Kernel

# Loaded by init. Some are built into some kernels, or do not exist in others.
AT_BOOT = (
    "virtio_pci",
    "virtio_mmio",
    "virtio_console",
    "virtio_rng",
    "virtio_net",
    "veth",
    "sch_ingress",
    "cls_bpf",
    "act_bpf",
    "8021q",
)
# For modprobe, and for the kernel's own requests.
ON_DEMAND = (
    "act_gact",
    "act_mirred",
    "af_packet_diag",
    "bridge",
    "cls_flower",
    "cls_matchall",
    "cls_u32",
    "dummy",
    "ifb",
    "inet_diag",
    "sch_fq",
    "sch_fq_codel",
    "sch_netem",
    "tcp_diag",
    "tun",
    "udp_diag",
    "vrf",
    "xsk_diag",
)


@dataclass(frozen=True)
class Module:
    """One module: its file on this machine, and its path in modules.dep."""

    name: str
    source: Path
    path: str

    def guest_path(self) -> str:
        """Its path below the modules folder once it is decompressed."""
        return re.sub(r"\.ko\.\w+$", ".ko", self.path)

    def content(self) -> bytes:
        """The module, decompressed: the guest's insmod takes no other."""
        if self.path.endswith(".xz"):
            return lzma.decompress(self.source.read_bytes())
        if self.path.endswith(".zst"):
            command = ["zstd", "-dcq", str(self.source)]
            return subprocess.run(command, check=True, capture_output=True).stdout
        return self.source.read_bytes()


def module_name(path: str) -> str:
    """The kernel's name of a module, from its file's path."""
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


class ModuleTree:
    """The modules of one kernel, and their dependencies."""

    def __init__(self, kernel: Kernel) -> None:
        self._folder = kernel.modules
        self._needs: dict[str, list[str]] = {}
        self._paths: dict[str, str] = {}
        for line in self._lines("modules.dep"):
            path, _, needs = line.partition(":")
            self._paths[module_name(path)] = path
            # The last one named has to be loaded first.
            self._needs[module_name(path)] = [module_name(p) for p in reversed(needs.split())]

    def _lines(self, name: str) -> list[str]:
        return (self._folder / name).read_text(encoding="utf-8").splitlines()

    def closure(self, names: Iterable[str]) -> list[Module]:
        """Lists the named modules that this kernel has as modules, each behind its dependencies."""
        ordered: dict[str, None] = {}
        for name in names:
            name = name.replace("-", "_")
            if name in self._paths:
                ordered.update(dict.fromkeys([*self._needs[name], name]))
        return [Module(n, self._folder / self._paths[n], self._paths[n]) for n in ordered]

    def index(self, modules: Iterable[Module]) -> dict[str, bytes]:
        """Returns modules.dep and modules.alias of these modules only, for modprobe."""
        names = {module.name: module for module in modules}
        depends = [
            f"{module.guest_path()}: "
            + " ".join(names[need].guest_path() for need in reversed(self._needs[name]))
            for name, module in names.items()
        ]
        aliases = [
            line
            for line in self._lines("modules.alias")
            if line.rsplit(" ", 1)[-1].replace("-", "_") in names
        ]
        return {
            "modules.dep": "\n".join(depends).encode() + b"\n",
            "modules.alias": "\n".join(aliases).encode() + b"\n",
        }
