// Hears of changes to devices, their traffic control and addresses, by anybody: a netlink socket in the groups for
// links, qdiscs and filters, and addresses (RTMGRP_LINK, RTMGRP_TC, RTMGRP_IPV4_IFADDR, RTMGRP_IPV6_IFADDR). XDP
// programs that come and go are changes of links (net/core/rtnetlink.c: do_setlink).
//
// A notification says that something changed; the kernel is asked for the rest. So notifications may be lost: an
// overrun (ENOBUFS) counts as a change of everything. One thread; nothing blocks.
#ifndef SLUICE_CONTROL_KERNEL_CHANGE_WATCH_H_
#define SLUICE_CONTROL_KERNEL_CHANGE_WATCH_H_

#include <libmnl/libmnl.h>

#include <memory>

#include "absl/status/statusor.h"

namespace sluice {

struct Changes {
  bool devices = false;  // links, qdiscs, filters
  bool addresses = false;
};

class ChangeWatch {
 public:
  static absl::StatusOr<ChangeWatch> Open();

  // Readable when there are changes to take.
  int fd() const { return mnl_socket_get_fd(socket_.get()); }
  // Takes what has come, some thousand notifications at most: when there are more, fd() stays readable.
  Changes Take();

 private:
  struct Closer {
    void operator()(mnl_socket* s) const { mnl_socket_close(s); }
  };
  explicit ChangeWatch(mnl_socket* socket) : socket_(socket) {}

  std::unique_ptr<mnl_socket, Closer> socket_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_CHANGE_WATCH_H_
