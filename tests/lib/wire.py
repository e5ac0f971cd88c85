"""left ══ guest ══ right: ordinary programs in two namespaces, which a guest that runs `forward` connects.

    with wire("6.12") as joined:
        client = joined.iperf3("-t", "5")
        joined.function.resize(4).check()
        print(client.report()["sum_received"])
"""

import contextlib
import json
import subprocess
import tempfile

from tests.lib.command import PATIENCE
from tests.lib.vm import booted

LEFT, RIGHT = "198.18.0.1", "198.18.0.2"


class Wire:
    def __init__(self, vm, function, left, right):
        self.vm = vm
        self.function = function
        self.left = left  # names of namespaces
        self.right = right

    def iperf3(self, *words):
        """Starts a client on the left, of the server on the right."""
        return Iperf3(self.vm.net.command(["iperf3", "-c", RIGHT, "-J", *words], netns=self.left))

    def ping(self, *words):
        """Starts ping from left to right."""
        command = self.vm.net.command(["ping", *words, RIGHT], netns=self.left)
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def drops(self):
        """Returns all counters of drops on the way: of the taps, the guest's devices and their drivers' queues."""
        counted = {}
        for netns, tap in zip((self.left, self.right), self.vm.net.taps):
            link = json.loads(self.vm.net.exec(["ip", "-j", "-s", "link", "show", tap], netns=netns).stdout)[0]
            counted |= {f"{tap} {way}": link["stats64"][way]["dropped"] for way in ("rx", "tx")}
        lines = self.vm.guest.run(
            "for d in eth0 eth1; do ethtool -S $d | grep drops | sed s/^/$d/;"
            " for f in rx_dropped tx_dropped; do echo $d $f: $(cat /sys/class/net/$d/statistics/$f); done; done"
        ).check().out.splitlines()
        return counted | {name: int(value) for name, value in (line.split(":") for line in lines)}


class Iperf3:
    """A running client. Its report goes to a file, since it is larger than a pipe."""

    def __init__(self, command):
        self._output = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(command, stdout=self._output)

    def running(self):
        return self._process.poll() is None

    def report(self):
        """Waits for its end and returns its report, which must have no error."""
        self._process.wait(timeout=4 * PATIENCE)
        self._output.seek(0)
        result = json.load(self._output)
        assert "error" not in result, result["error"]
        return result["end"]


@contextlib.contextmanager
def wire(kernel, queue_pairs=2, **nic):
    """Boots the guest, with each tap and its address in a separate namespace; `nic` is for tests.lib.vm.booted."""
    with booted(kernel, nics=2, **nic) as vm:
        spaces = [vm.net.isolate(tap) for tap in vm.net.taps]
        for space, tap, address in zip(spaces, vm.net.taps, (LEFT, RIGHT)):
            vm.net.exec(["ip", "addr", "add", f"{address}/24", "dev", tap], netns=space)
        function = vm.start("forward", ports=2, queue_pairs=queue_pairs)
        server = subprocess.Popen(
            vm.net.command(["iperf3", "-s", "-B", RIGHT], netns=spaces[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            listening = ["sh", "-c", "until ss -Hltn | grep -q :5201; do sleep 0.1; done"]
            vm.net.exec(listening, netns=spaces[1])
            yield Wire(vm, function, *spaces)
        finally:
            server.terminate()
            server.wait()
