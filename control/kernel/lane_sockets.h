// Makes what a lane consists of in the kernel: the UMEM's memfd and one bound AF_XDP socket per port,
// all on that UMEM. Made with the kernel's own calls, not xsk_socket__create (DESIGN.md 3.2).
//
// The first socket registers the UMEM (XDP_UMEM_REG) and binds on its own; the others bind with
// XDP_SHARED_UMEM to the first, on their own (netdev, queue), with their own fill and completion rings
// (net/xdp/xsk.c: xsk_bind, xp_create_and_assign_umem). All are bound with XDP_USE_NEED_WAKEUP.
//
// Two phases, since before Linux 6.4 the rings of a bound socket cannot be mapped (net/xdp/xsk.c: xsk_mmap
// says EBUSY): Make, then the dataplane maps the rings and fills them, then Bind.
//
// After the agent's and the dataplane's descriptors are closed, the kernel releases the queue from a
// workqueue (net/xdp/xsk_buff_pool.c: xp_release_deferred): binding the queue again meanwhile says
// EBUSY, so Bind retries until `deadline`.
#ifndef SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_
#define SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_

#include <linux/if_xdp.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/umem_layout.h"

namespace sluice {

enum class XskMode { kZeroCopy, kCopy, kSkb };
// What the config asks for; kAuto tries zero-copy, then copy. kSkb: copy-mode sockets under generic XDP.
enum class WantedXskMode { kAuto, kZeroCopy, kCopy, kSkb };

// In entries. A worker that shares its core with the receive softirq, or whose vCPU the host takes away, does not look
// for a time slice of some 3 ms: what comes meanwhile must find room.
struct XskRingSizes {
  uint32_t fill = 2048;
  uint32_t completion = 2048;
  uint32_t rx = 2048;
  uint32_t tx = 2048;
};

// A memfd of at least layout.total_bytes(), with all its pages, sealed against changes of its size: of huge pages of
// 2 MB, and then so many bytes more as fill the last of them, when enough are free, else of ordinary ones. Separate
// from the sockets, so that a resize can make it before the window opens.
absl::StatusOr<UniqueFd> MakeUmemMemory(const UmemLayout& layout, const std::string& name);

// Whether it became huge pages.
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

// One socket per queue, with its rings, and the UMEM registered; nothing is bound.
absl::StatusOr<LaneSockets> MakeLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                            std::vector<QueueAddress> queues);

// Binds them all, and says in `lane` which mode it became and why. `xdp_is_skb`: the ports' program runs in
// generic mode. Errors name netdev and queue; some sockets may then be bound, so drop the lane. Unimplemented with
// kAuto: the first port took zero-copy and another cannot; kCopy will do.
absl::Status BindLaneSockets(LaneSockets& lane, WantedXskMode wanted, bool xdp_is_skb, absl::Time deadline);

// XDP_STATISTICS of one socket: what the kernel dropped before the dataplane saw it.
absl::StatusOr<xdp_statistics> ReadXskStatistics(int socket);

// Whether it is bound to a queue of a device that is still there. Asks only; nothing is woken in copy mode, and in
// zero-copy mode at most the driver, as the socket's user does it.
bool IsBound(int socket);

// Whether a bound socket is in zero-copy mode (XDP_OPTIONS), for adoption.
absl::StatusOr<bool> IsZeroCopy(int socket);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_
