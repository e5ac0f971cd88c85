#include "control/kernel/change_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>

#include "control/kernel/kernel_error.h"

namespace sluice {
namespace {

constexpr unsigned kGroups = RTMGRP_LINK | RTMGRP_TC | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
// Bounds the time of a call. The default receive buffer holds a few hundred notifications of links.
constexpr int kMaxMessages = 4096;
// Only the header is looked at; the kernel cuts the rest off (net/netlink/af_netlink.c: netlink_recvmsg).
constexpr size_t kHeaderBytes = sizeof(nlmsghdr);

}  // namespace

absl::StatusOr<ChangeWatch> ChangeWatch::Open() {
  mnl_socket* socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == nullptr) {
    return KernelError(errno, "opening a netlink socket for notifications");
  }
  ChangeWatch watch(socket);
  if (mnl_socket_bind(socket, kGroups, MNL_SOCKET_AUTOPID) < 0) {
    return KernelError(errno, "subscribing to notifications about devices and addresses");
  }
  return watch;
}

Changes ChangeWatch::Take() {
  Changes changes;
  for (int messages = 0; messages < kMaxMessages; ++messages) {
    alignas(nlmsghdr) std::array<char, kHeaderBytes> bytes;
    const ssize_t received = recv(fd(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (received < 0 && errno == EINTR) {
      continue;
    }
    if (received < 0) {
      if (errno == ENOBUFS) {
        changes = {true, true};
        continue;
      }
      break;  // EAGAIN: that was all
    }
    const auto* header = reinterpret_cast<const nlmsghdr*>(bytes.data());
    const bool address = static_cast<size_t>(received) == kHeaderBytes &&
                         (header->nlmsg_type == RTM_NEWADDR || header->nlmsg_type == RTM_DELADDR);
    (address ? changes.addresses : changes.devices) = true;
  }
  return changes;
}

}  // namespace sluice
