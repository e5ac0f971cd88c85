// Makes a lane's objects in the kernel: the UMEM's memfd, and one bound AF_XDP socket for each port, all on that UMEM.
// It uses the kernel's own calls: libxdp's xsk_socket__create ties the first socket to the UMEM's descriptor, and
// cannot pass descriptors on.
//
// The first socket registers the UMEM (XDP_UMEM_REG) and binds on its own; the others bind with
// XDP_SHARED_UMEM to the first, on their own (netdev, queue), with their own fill and completion rings
// (net/xdp/xsk.c: xsk_bind, xp_create_and_assign_umem). All are bound with XDP_USE_NEED_WAKEUP.
//
// There are two phases, since before Linux 6.4 the rings of a bound socket cannot be mapped (net/xdp/xsk.c: xsk_mmap
// says EBUSY): Make, then the dataplane maps the rings and fills them, then Bind.
//
// After the agent's and the dataplane's descriptors are closed, the kernel releases the queue from a workqueue
// (net/xdp/xsk_buff_pool.c: xp_release_deferred). Until then binding the queue again fails with EBUSY, so Bind retries
// until `deadline`.
//
// Ownership: the caller owns the descriptors. One thread.
#ifndef SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_
#define SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_

#include <linux/if_xdp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/kernel/modes.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/umem_layout.h"

namespace sluice {

// Makes a memfd of at least layout.total_bytes(), with all its pages, sealed at that size. It consists
// of huge pages of 2 MB when enough are free (its size is then rounded up to whole ones), else of ordinary pages. Apart
// from the sockets, so that a resize can make it before the window opens. `name` is what /proc/PID/maps shows.
absl::StatusOr<UniqueFd> MakeUmemMemory(const UmemLayout& layout, const std::string& name);

// Tells whether a memfd consists of huge pages.
bool HasHugePages(int memory);

struct QueueAddress {
  std::string netdev;
  uint32_t queue = 0;
};

struct LaneSockets {
  UniqueFd umem;
  UmemLayout layout;
  XskRingSizes rings;
  std::vector<QueueAddress> queues;
  std::vector<UniqueFd> sockets;  // in the order of `queues`
  XskMode mode = XskMode::kCopy;  // from Bind on
  std::string mode_reason;        // "eth0 offers zero-copy", "XDP runs in skb mode"
};

// Makes one socket for each queue, with rings of these sizes, and registers the UMEM. Binds nothing.
absl::StatusOr<LaneSockets> MakeLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                            std::vector<QueueAddress> queues);

// Binds them all, and sets mode and mode_reason of `lane`. `xdp_is_skb`: the ports' program runs in generic mode.
// Errors name netdev and queue; some sockets may then be bound, so drop the lane. Unimplemented with kAuto: the first
// port took zero-copy and another cannot; kCopy will do.
absl::Status BindLaneSockets(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime deadline);

// Checks a lane that a stranger gives us: that its UMEM is memory of ours as far as one can see (sealed, with room for
// `layout`), and that each socket is an AF_XDP socket on the queue at its place, or not bound yet. DataLoss when it is
// not so.
//
// The kernel tells neither device nor queue of such a socket (net/xdp/xsk.c: xsk_proto_ops has no getname; its
// sock_diag is a module). But it lets another socket without rings for fill and completion share the first one's pool
// if, and only if, it asks for the same device and queue (xsk_bind). Closing that one changes nothing.
absl::Status CheckLaneSockets(int umem, const UmemLayout& layout, absl::Span<const int> sockets,
                              absl::Span<const QueueAddress> queues);

// Tells whether an AF_XDP socket is bound to the queue. If none is, the queue is ours for a moment, and free again in
// some 150 ms (above). False also when it cannot be known.
bool IsQueueTaken(const QueueAddress& queue);

// Reads XDP_STATISTICS of one socket: packets that the kernel dropped before the dataplane saw them.
absl::StatusOr<xdp_statistics> ReadXskStatistics(int socket);

// Tells whether a socket is bound to a queue of a device that is still there. In copy mode this wakes nothing, in
// zero-copy mode at most the driver, as the socket's user does.
bool IsBound(int socket);

// Returns the number that the kernel gives to this socket and to no other (SO_COOKIE).
absl::StatusOr<uint64_t> SocketCookie(int socket);

// Tells whether a bound socket is in zero-copy mode (XDP_OPTIONS), for adoption.
absl::StatusOr<bool> IsZeroCopy(int socket);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_
