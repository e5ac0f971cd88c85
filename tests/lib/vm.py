"""Guests with Sluice in them, for the tests in tests/vm.

    with booted("6.12", nics=2) as vm:
        function = vm.start("forward", ports=2)
        with vm.stream(rate=1000) as stream:
            function.ctl("queues", "set", "4").check()
        assert stream.total["duplicated"] == 0
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.lib import build
from tests.lib.command import run, wait_until

sys.path.insert(0, str(Path(__file__).parents[2] / "deploy"))

from testbed import Guest, GuestFile, Nic, TestNet  # noqa: E402
from testbed.network_function import NetworkFunction, config, product_files  # noqa: E402

QUEUES = 4


# The key of Microsoft's RSS verification suite. Guests choose a random key, and some keys put flows that differ only in
# their lowest bits on one queue.
RSS_KEY = (
    "6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:"
    "ae:7b:30:b4:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa"
)


def mac(index: int) -> str:
    """Returns the MAC address of the guest's device number `index`."""
    return f"52:54:00:51:1c:{index:02x}"


class Stream:
    """A flowgen that sends until finish(); `report` and `total` are set then."""

    def __init__(self, words: list[str], sent: Callable[[], int]) -> None:
        """`sent` counts the packets that left by the tap: no stream is ended before its first one."""
        self._sent = sent
        self._before = sent()
        self._process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.total: dict[str, int] = {}
        self.report: dict[str, Any] = {}

    def finish(self, stop: bool = True) -> None:
        """Ends it (or waits for its end if `stop` is false) and reads its report."""
        if self._process.poll() is None and stop:
            wait_until(lambda: self._process.poll() is not None or self._sent() > self._before, "the first packet")
            self._process.terminate()
        out, err = self._process.communicate(timeout=300)
        assert out, f"flowgen said nothing: {err}"
        self.report = json.loads(out)
        self.total = {key: int(value) for key, value in self.report["total"].items()}


class Vm:
    """A guest, the taps of its devices, and Sluice in it."""

    def __init__(self, guest: Guest, net: TestNet, mode: str) -> None:
        self.mode = mode
        self.guest = guest
        self.net = net
        self.switch: Any = None  # of a vhost-user device
        self._functions: list[NetworkFunction] = []

    def start(self, function: str, ports: int = 1, *options: str, **more: Any) -> NetworkFunction:
        """Starts the agent with a configuration (network_function.config) and waits until it answers."""
        made = NetworkFunction(self.guest, config(function, ports, mode=self.mode, **more))
        made.start(*options)
        self._functions.append(made)
        return made

    def refuses(self, function: str, ports: int = 1, **more: Any) -> str:
        """Starts an agent that must refuse to run; returns its output."""
        self.guest.put("/etc/sluice/sluice.toml", config(function, ports, **more))
        # A new state folder has no last good configuration that it could start with instead.
        done = self.guest.run("sluice-agent --state-dir /run/sluice-refused", timeout=60)
        assert done.rc == 1, f"ended with {done.rc}: {done.out}"
        return done.out

    @contextlib.contextmanager
    def stream(
        self, *options: str, tap: int = 0, flows: int = 16, rate: float = 1000, netns: str = "", **more: str
    ) -> Iterator[Stream]:
        """Sends into a tap while the block lasts; packets come back by it, unless option `rx` names another device."""
        words = [str(build.Programs().flowgen), "--netns", netns or self.net.name, "--tx", self.net.taps[tap]]
        words += ["--flows", str(flows), "--rate", str(rate), "--dst-mac", mac(tap), "-o", "json", *options]
        for name, value in more.items():
            words += [f"--{name.replace('_', '-')}", value]
        look = ["ip", "-n", netns or self.net.name, "-j", "-s", "link", "show", self.net.taps[tap]]
        stream = Stream(words, lambda: int(json.loads(run(*look).stdout)[0]["stats64"]["tx"]["packets"]))
        try:
            yield stream
        finally:
            stream.finish()

    def stack_packets(self) -> int:
        """Returns the number of IPv4 packets that the guest's own stack has received."""
        lines = [line.split() for line in self.guest.get("/proc/net/snmp").decode().splitlines()]
        names, values = (line for line in lines if line[0] == "Ip:")
        return int(dict(zip(names, values))["InReceives"])

    def kernel_state(self) -> str:
        """Returns the kernel state that an agent must restore at its end, as text."""
        return self.guest.run(
            "for i in 0 1; do [ -e /sys/class/net/eth$i ] || continue;"
            " ethtool -l eth$i; ethtool -x eth$i; ip -d link show eth$i;"
            " tc qdisc show dev eth$i; tc filter show dev eth$i ingress;"
            " for f in /sys/class/net/eth$i/queues/tx-*/xps_cpus; do cat $f; done; done;"
            " ip -br link | cut -d' ' -f1; find /sys/fs/bpf -mindepth 1 -not -path '/sys/fs/bpf/xdp*' | sort"
        ).out


def wait_still(function: NetworkFunction) -> dict[str, Any]:
    """Waits until no packet is held and the balance holds; returns the status then."""

    def still() -> dict[str, Any] | None:
        status = function.status()
        return status if (status["balance"]["held"], status["balance"]["unaccounted"]) == (0, 0) else None

    return wait_until(still, lambda: str(function.status()["balance"]))


@contextlib.contextmanager
def booted(
    kernel: str,
    nics: int = 1,
    cpus: int = 4,
    queues: int = QUEUES,
    each: list[dict[str, Any]] | None = None,
    files: Sequence[GuestFile] = (),
    modules: Sequence[str] = (),
    memory_mb: int = 256,
    thread_per_cpu: bool = False,
    mmio: bool = False,
    switch: Callable[[TestNet], contextlib.AbstractContextManager[Any]] | None = None,
    zero_copy: bool = False,
    **nic: Any,
) -> Iterator[Vm]:
    """Boots a guest of that kernel with Sluice and `files` in it. `nic` has arguments of testbed.Nic for all devices,
    `each` those of single devices. The kernel must be healthy at the end. `thread_per_cpu` makes an emulated guest
    faster and less reliable. A guest with `mmio` has no PCI. `switch` replaces the tap (vhost_switch.py). `zero_copy`
    also makes zero-copy the mode of agents started in it."""
    kernel_options = []
    if zero_copy:
        nic["iommu_platform"] = True
        # virtio_net as a module makes the device read headers from a wrong address (virtio_device.h:
        # SendsStrayZeroCopyHeaders). Without randomised addresses it is just above 1 GiB, where this guest has no
        # memory: QEMU reads zeros there, as the header should be.
        kernel_options.append("nokaslr")
        assert memory_mb < 1024
    with (TestNet(taps=0 if switch else nics, queues=queues, offloads=nic.get("offloads", False)) as net,
          switch(net) if switch else contextlib.nullcontext() as running):
        if switch:
            assert nics == 1
            nic["vhost_user"] = str(running.socket)
        devices = [
            Nic(tap, queues=queues, mac=mac(index), **nic, **(each[index] if each else {}))
            for index, tap in enumerate(net.taps)
        ]
        with Guest(
            kernel,
            files=[*product_files(build.folder()), *files],
            nics=devices,
            netns=net.name,
            cpus=cpus,
            modules=modules,
            memory_mb=memory_mb,
            kernel_options=kernel_options,
            thread_per_cpu=thread_per_cpu,
            mmio=mmio,
        ) as guest:
            for index in range(nics):
                guest.run(f"ip link set eth{index} up").check()
                if nic.get("rss"):
                    guest.run(f"ethtool -X eth{index} hkey {RSS_KEY}").check()
            try:
                vm = Vm(guest, net, mode="zerocopy" if zero_copy else "auto")
                vm.switch = running
                yield vm
            except Exception:
                guest.assert_healthy()  # if the kernel crashed, that error explains the other one
                raise
            guest.assert_healthy()
