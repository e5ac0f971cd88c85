// SPDX-License-Identifier: Apache-2.0
#include "tests/bpf/network.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace sluice::bpf_test {

std::optional<std::string> enter_fresh_namespaces() {
  if (unshare(CLONE_NEWNET | CLONE_NEWNS)) {
    return std::string("unshare: ") + strerror(errno);
  }
  if (mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr)) {
    return std::string("private mounts: ") + strerror(errno);
  }
  if (mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr)) {
    return std::string("mount bpffs: ") + strerror(errno);
  }
  return {};
}

bool shell(const std::string& command) {
  return std::system(command.c_str()) == 0;
}

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

Descriptor bind_xsk(uint32_t ifindex, uint32_t queue) {
  constexpr size_t kUmemBytes = 64 * 4096;
  Descriptor socket(::socket(AF_XDP, SOCK_RAW, 0));
  if (!socket) {
    return socket;
  }
  void* area = mmap(nullptr, kUmemBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  xdp_umem_reg umem = {};
  umem.addr = reinterpret_cast<uintptr_t>(area);
  umem.len = kUmemBytes;
  umem.chunk_size = 4096;
  const int entries = 64;
  bool made = setsockopt(socket.get(), SOL_XDP, XDP_UMEM_REG, &umem, sizeof(umem)) == 0;
  for (const int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING}) {
    made = made && setsockopt(socket.get(), SOL_XDP, ring, &entries, sizeof(entries)) == 0;
  }
  sockaddr_xdp name = {};
  name.sxdp_family = AF_XDP;
  name.sxdp_ifindex = ifindex;
  name.sxdp_queue_id = queue;
  name.sxdp_flags = XDP_COPY;
  made = made && bind(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) == 0;
  const int error = errno;
  munmap(area, kUmemBytes);  // the pages stay: the kernel has pinned them
  errno = error;
  return made ? std::move(socket) : Descriptor();
}

Wire::Wire(const std::string& netdev) : socket_(::socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))) {
  if (!socket_) {
    return;
  }
  sockaddr_ll name = {};
  name.sll_family = AF_PACKET;
  name.sll_protocol = htons(ETH_P_ALL);
  name.sll_ifindex = static_cast<int>(if_nametoindex(netdev.c_str()));
  const timeval patience = {.tv_sec = 0, .tv_usec = 200'000};
  const int on = 1;
  setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(socket_.get(), SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on));
  setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on));
  if (bind(socket_.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name))) {
    socket_ = Descriptor();
  }
}

bool Wire::send(const Bytes& frame) {
  return ::send(socket_.get(), frame.data(), frame.size(), 0) == static_cast<ssize_t>(frame.size());
}

std::optional<Bytes> Wire::receive() {
  Bytes frame(65536);
  alignas(cmsghdr) char control[256];
  iovec part = {.iov_base = frame.data(), .iov_len = frame.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t size = recvmsg(socket_.get(), &message, 0);
  if (size < 0) {
    return {};
  }
  frame.resize(size);
  // The kernel gives the outermost tag in the metadata. Put it back into the frame.
  for (cmsghdr* one = CMSG_FIRSTHDR(&message); one; one = CMSG_NXTHDR(&message, one)) {
    if (one->cmsg_level != SOL_PACKET || one->cmsg_type != PACKET_AUXDATA) {
      continue;
    }
    tpacket_auxdata aux;
    std::memcpy(&aux, CMSG_DATA(one), sizeof(aux));
    if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) {
      continue;
    }
    Bytes tag(4);
    Packet::put16(tag, 0, aux.tp_vlan_tpid);
    Packet::put16(tag, 2, aux.tp_vlan_tci);
    frame.insert(frame.begin() + 12, tag.begin(), tag.end());
  }
  return frame;
}

}  // namespace sluice::bpf_test
