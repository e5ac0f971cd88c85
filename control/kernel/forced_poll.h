// Has the driver take what its device has already put into some receive queues.
//
// When a device has acknowledged a new RSS table, packets it received before are in the old queues' virtqueues, and
// nobody says when the driver has taken them from there. A recvfrom on an AF_XDP socket with SO_BUSY_POLL polls the
// NAPI of the queue that its packets came by (net/xdp/xsk.c: xsk_recvmsg; net/core/dev.c: napi_busy_loop), unless a
// softirq is at it, which then empties the queue itself before it lets go of the NAPI. So some polls, with a pause
// between them, and what was there is in the sockets' receive rings. A socket that never received anything knows no
// NAPI; nothing is on its way to it either that came before.
#ifndef SLUICE_CONTROL_KERNEL_FORCED_POLL_H_
#define SLUICE_CONTROL_KERNEL_FORCED_POLL_H_

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace sluice {

// Takes some milliseconds. Their owner may use the sockets meanwhile. Needs CAP_NET_ADMIN.
absl::Status ForcePolls(absl::Span<const int> sockets);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_FORCED_POLL_H_
