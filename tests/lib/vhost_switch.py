"""Open vSwitch with DPDK between a tap device and a guest whose virtio-net is backed by vhost-user.

    with booted("6.12", switch=vhost_switch) as vm:
        vm.switch.dropped()

    tap0 == ovs-vswitchd-dpdk == vhost-user socket == QEMU

The programs are Debian's, unpacked into the guests' cache and not installed, since their packages start services. They
run without huge pages; one thread polls the guest's queues, and sleeps when they are empty. The switch chooses the
guest's queue by the hash of a packet.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

from tests.lib.command import PATIENCE, wait_until
from tests.lib.vm import TestNet  # first: it puts deploy/ on the path

from testbed.apt import PrivateApt, debian_release  # isort: skip
from testbed.cache import cache_folder, complete_folder, locked  # isort: skip
from testbed.fetch import CODENAMES  # isort: skip
from testbed.undo import Undo  # isort: skip

_PACKAGES = ("openvswitch-switch-dpdk", "openvswitch-switch", "openvswitch-common")
# Of the packages that these depend on, only libraries are unpacked.
_LIBRARY = re.compile(r"(?:lib(?!systemd|udev|nss|pam)[a-z0-9.+-]*|ibverbs-providers)=")
# The packet memory, taken from ordinary pages.
_MEMORY_MB = 512
_TAP = "tap0"
_TAP_PORT, _VHOST_PORT = 1, 2  # OpenFlow's numbers


def _download(into: Path) -> None:
    codename = CODENAMES[debian_release()]
    with PrivateApt(cache_folder() / "apt-openvswitch", [codename, f"{codename}-security"]) as apt:
        # Its driver of packet memory is loaded by name, so that no package depends on it.
        [driver] = apt.names(r"librte-mempool-ring\d+")
        wanted = apt.missing([*_PACKAGES, driver], None)
        apt.unpack([p for p in wanted if p.split("=")[0] in _PACKAGES or _LIBRARY.match(p)], into)


def _fetch() -> Path:
    with locked("openvswitch"):
        return complete_folder(cache_folder() / "openvswitch", _download)


class Switch:
    """It runs in the namespace of `net`, whose tap it makes. `socket` is the one that QEMU has to make."""

    def __init__(self, net: TestNet, folder: Path) -> None:
        self._net, self._folder = net, folder
        self._programs = _fetch()
        self._processes: list[subprocess.Popen[bytes]] = []
        self.socket = folder / "vhost0"

    def start(self) -> None:
        [driver] = self._programs.glob("usr/lib/*/dpdk/pmds-*/librte_mempool_ring.so.*.*")
        schema = self._programs / "usr/share/openvswitch/vswitch.ovsschema"
        self._run("bin/ovsdb-tool", "create", "conf.db", str(schema))
        self._spawn("sbin/ovsdb-server", "conf.db", "--remote=punix:db.sock")
        wait_until((self._folder / "db.sock").exists, self._log)
        dpdk = (f"--no-pci --no-huge --legacy-mem -m {_MEMORY_MB} --no-telemetry --file-prefix {self._folder.name}"
                f" -d {driver}")
        self._configure("--no-wait", "init")
        self._configure("--no-wait", "set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                        f'other_config:dpdk-extra="{dpdk}"', "other_config:pmd-maxsleep=100")
        self._spawn("lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "unix:db.sock")
        self._configure("add-br", "br0", "--", "set", "Bridge", "br0", "datapath_type=netdev", "fail-mode=secure")
        self._configure("add-port", "br0", _TAP, "--", "set", "Interface", _TAP, "type=internal",
                        f"ofport_request={_TAP_PORT}")
        self._configure("add-port", "br0", "vhost0", "--", "set", "Interface", "vhost0", "type=dpdkvhostuserclient",
                        f"options:vhost-server-path={self.socket}", "other_config:tx-steering=hash",
                        f"ofport_request={_VHOST_PORT}")
        for came, leaves in ((_TAP_PORT, _VHOST_PORT), (_VHOST_PORT, _TAP_PORT)):
            self._run("bin/ovs-ofctl", "add-flow", "br0", f"in_port={came},actions=output:{leaves}")
        off = [word for name in ("tx", "tso", "gso", "gro") for word in (name, "off")]
        self._net.exec(["ethtool", "-K", _TAP, *off])
        self._net.exec(["ip", "link", "set", _TAP, "up"])
        self._net.taps = [_TAP]

    def dropped(self) -> int:
        """Returns the packets that the switch had for a queue of the guest and could not give to it."""
        # Not the database's statistics, which are seconds old.
        said = self._run("bin/ovs-ofctl", "dump-ports", "br0", str(_VHOST_PORT))
        found = re.search(r"\btx pkts=\d+, bytes=\d+, drop=(\d+)", said)
        assert found, said
        return int(found[1])

    def end(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            process.wait(PATIENCE)

    def _environment(self) -> dict[str, str]:
        libraries = ":".join(map(str, self._programs.glob("usr/lib/*-linux-gnu")))
        folders = {f"OVS_{name}DIR": str(self._folder) for name in ("RUN", "LOG", "DB", "SYSCONF")}
        return {**os.environ, **folders, "LD_LIBRARY_PATH": libraries, "RUNTIME_DIRECTORY": str(self._folder)}

    def _run(self, program: str, *words: str) -> str:
        done = subprocess.run([str(self._programs / "usr" / program), *words], cwd=self._folder, capture_output=True,
                              text=True, env=self._environment(), timeout=PATIENCE)
        assert done.returncode == 0, f"{program} {' '.join(words)}: {done.stderr}\n{self._log()}"
        return done.stdout

    def _configure(self, *words: str) -> str:
        return self._run("bin/ovs-vsctl", "--db=unix:db.sock", f"--timeout={PATIENCE}", *words)

    def _spawn(self, program: str, *words: str) -> None:
        with (self._folder / "log").open("ab") as log:
            self._processes.append(subprocess.Popen(
                self._net.command([str(self._programs / "usr" / program), *words, "--no-chdir"]), cwd=self._folder,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment()))

    def _log(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-4000:]


@contextlib.contextmanager
def vhost_switch(net: TestNet) -> Iterator[Switch]:
    """Runs a Switch in the namespace of `net`."""
    with Undo() as undo:
        folder = Path(tempfile.gettempdir(), f"sluice-switch-{uuid.uuid4().hex[:8]}")
        undo.folder(folder)
        folder.mkdir(mode=0o700)
        switch = Switch(net, folder)
        try:
            switch.start()
            yield switch
        finally:
            switch.end()
