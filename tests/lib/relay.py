"""A wire that loses, repeats, delays or changes exactly the packets that a test chooses.

    with Relay(space, "left", "right", edit=lambda number, frame: [frame]) as relay:

`edit` gets each frame that came in on `left` and its number (0, 1, ...), and returns the list of frames that go out on
`right`; an empty list loses the frame. `edit` may keep a frame back and return it later, with another one. Only
flowgen's frames count, unless `wanted` chooses others. The relay is exact, while netem is random. It carries about
5,000 packets a second.
"""

import socket
import struct
import threading

from tests.lib.world import in_netns

ETH_P_ALL = 3
PACKET_IGNORE_OUTGOING = 23
SOL_PACKET = 263
MAGIC = b"\x51\xce"
IPV4_STAMP_AT = 42
ROOM = 2048


def _packet_socket(netns, netdev):
    sock = in_netns(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 << 20)
    sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, struct.pack("i", 1))
    sock.bind((netdev, ETH_P_ALL))
    sock.settimeout(0.05)
    return sock


def is_stamped(frame):
    return frame[IPV4_STAMP_AT:IPV4_STAMP_AT + 2] == MAGIC


def swap_macs(frame):
    return frame[6:12] + frame[0:6] + frame[12:]


class Relay:
    def __init__(self, netns, left, right, edit, wanted=is_stamped):
        self.receive = _packet_socket(netns, left)
        self.send = self.receive if left == right else _packet_socket(netns, right)
        self.edit = edit
        self.wanted = wanted
        self.number = 0
        self.stopping = False
        self.thread = threading.Thread(target=self._work)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.stopping = True
        self.thread.join()
        self.receive.close()
        self.send.close()

    def _work(self):
        while not self.stopping:
            try:
                frame = self.receive.recv(ROOM)
            except TimeoutError:
                continue
            if not self.wanted(frame):
                continue
            for out in self.edit(self.number, frame):
                self.send.send(out)
            self.number += 1
