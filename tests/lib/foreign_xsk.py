"""An AF_XDP socket that is not Sluice's, bound to one queue: the kernel then refuses to remove that queue
(net/ethtool/channels.c: ethnl_set_channels)."""

import ctypes
import mmap
import socket
import struct

from tests.lib.world import in_netns

AF_XDP = 44
SOL_XDP = 283
XDP_RX_RING, XDP_UMEM_REG, XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING = 2, 4, 5, 6
XDP_COPY = 1 << 1
CHUNK_BYTES = 2048
CHUNKS = 16


class ForeignXsk:
    def __init__(self, netns, netdev, queue):
        self.memory = mmap.mmap(-1, CHUNK_BYTES * CHUNKS)
        self.socket = in_netns(netns, lambda: socket.socket(AF_XDP, socket.SOCK_RAW, 0))
        address = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        registration = struct.pack("=QQIIII", address, len(self.memory), CHUNK_BYTES, 0, 0, 0)
        self.socket.setsockopt(SOL_XDP, XDP_UMEM_REG, registration)
        for ring in (XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING):
            self.socket.setsockopt(SOL_XDP, ring, struct.pack("i", CHUNKS))
        where = struct.pack("=HHIII", AF_XDP, XDP_COPY, netns.ifindex(netdev), queue, 0)
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.bind(self.socket.fileno(), where, len(where)) != 0:
            raise OSError(ctypes.get_errno(), f"binding queue {queue} of {netdev}")

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.socket.close()
