// Makes the driver take all packets that the device has already put into some receive queues.
//
// When a device has acknowledged a new RSS table, packets that it received before are in the old queues' virtqueues,
// and nothing tells when the driver has taken them from there. A recvfrom on an AF_XDP socket with SO_BUSY_POLL polls
// the NAPI of the queue that the socket's packets came by (net/xdp/xsk.c: xsk_recvmsg; net/core/dev.c:
// napi_busy_loop), unless a softirq is polling it; that softirq then empties the queue before it lets go of the NAPI.
// After some polls, with a pause between them, all packets that were there are in the sockets' receive rings. A socket
// that never received anything knows no NAPI, and no earlier packet is on its way to it.
//
// One thread; blocks for the pauses.
#ifndef SLUICE_CONTROL_KERNEL_FORCED_POLL_H_
#define SLUICE_CONTROL_KERNEL_FORCED_POLL_H_

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace sluice {

// Polls the queues of these sockets, which takes some milliseconds; their owner may use them meanwhile. Needs
// CAP_NET_ADMIN.
absl::Status ForcePolls(absl::Span<const int> sockets);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_FORCED_POLL_H_
