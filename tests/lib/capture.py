"""Captures packets, to compare the frames at two places.

    with Capture(net, left, "tap0") as one, Capture(net, right, "tap1") as other:
        ...
    lost = one.frames() - other.frames()
"""

import collections
import contextlib
import re
import signal
import subprocess
import tempfile
import time

import dpkt

# Ethernet, IP and TCP with all their options, which tell any two frames of a stream apart.
HEADERS_BYTES = 96
ETHERNET_BYTES = 14
# Steering probes are Sluice's own (dataplane/lane/steering_probe.h).
NO_PROBES = "not ether dst 01:80:c2:00:00:01"


class Capture(contextlib.AbstractContextManager):
    """Runs tcpdump on a device in a namespace while the block lasts; its frames can be read afterwards."""

    def __init__(self, net, netns, netdev, expression="tcp"):
        self._file = tempfile.NamedTemporaryFile(suffix=".pcap")
        words = ["tcpdump", "-i", netdev, "-s", str(HEADERS_BYTES), "-B", "65536", "-U", "-Z", "root"]
        command = net.command([*words, "-w", self._file.name, f"{expression} and {NO_PROBES}"], netns=netns)
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        """Returns once it captures."""
        self._line("listening on")
        return self

    def __exit__(self, *exception):
        """Returns once every frame that passed is in the file; fails if tcpdump missed one."""
        while True:
            self._process.send_signal(signal.SIGUSR1)
            captured, received, dropped = map(int, re.findall(r"\d+", self._line("captured")))
            if captured == received:
                break
            time.sleep(0.1)
        self._process.terminate()
        self._process.communicate()
        assert dropped == 0, f"tcpdump did not see {dropped} packets"

    def _line(self, words):
        for line in self._process.stderr:
            if words in line:
                return line
        raise AssertionError(f"tcpdump ended with {self._process.wait()}")

    def _read(self):
        with open(self._file.name, "rb") as file:
            yield from dpkt.pcap.Reader(file)

    def frames(self):
        """Returns how often each frame was seen, in either direction."""
        return collections.Counter(frame for _, frame in self._read())

    def resets(self, seconds):
        """Counts IPv4 TCP segments with RST in the first `seconds`; later ones are iperf3's, which ends with resets."""
        count, end = 0, None
        for time_s, frame in self._read():
            end = end or time_s + seconds
            if time_s < end:
                count += bool(frame[ETHERNET_BYTES + 4 * (frame[ETHERNET_BYTES] & 15) + 13] & dpkt.tcp.TH_RST)
        return count
