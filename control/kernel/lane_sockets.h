// Makes what a lane consists of in the kernel: the UMEM's memfd and one bound AF_XDP socket per port,
// all on that UMEM. Made with the kernel's own calls, not xsk_socket__create (DESIGN.md 3.2).
//
// The first socket registers the UMEM (XDP_UMEM_REG) and binds on its own; the others bind with
// XDP_SHARED_UMEM to the first, on their own (netdev, queue), with their own fill and completion rings
// (net/xdp/xsk.c: xsk_bind, xp_create_and_assign_umem). All are bound with XDP_USE_NEED_WAKEUP.
//
// After the agent's and the dataplane's descriptors are closed, the kernel releases the queue from a
// workqueue (net/xdp/xsk_buff_pool.c: xp_release_deferred): binding the queue again meanwhile says
// EBUSY, so Open() retries until `deadline`.
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
#include "dataplane/contract/umem_layout.h"
#include "dataplane/contract/unique_fd.h"

namespace sluice {

enum class XskMode { kZeroCopy, kCopy, kSkb };
// What the config asks for; kAuto tries zero-copy, then copy. kSkb: copy-mode sockets under generic XDP.
enum class WantedXskMode { kAuto, kZeroCopy, kCopy, kSkb };

struct XskRingSizes {
  uint32_t fill = 1024;
  uint32_t completion = 1024;
  uint32_t rx = 1024;
  uint32_t tx = 1024;
};

// A memfd of layout.total_bytes(), sealed against shrinking. Separate from the sockets, so that a resize
// can make it before the window opens.
absl::StatusOr<UniqueFd> MakeUmemMemory(const UmemLayout& layout, const std::string& name);

struct QueueAddress {
  std::string netdev;
  uint32_t queue = 0;
};

struct LaneSockets {
  UniqueFd umem;
  UmemLayout layout;
  XskRingSizes rings;
  std::vector<UniqueFd> sockets;  // in the order of the queues asked for
  XskMode mode = XskMode::kCopy;
  std::string mode_reason;  // "device offers zero-copy", "device has no zero-copy: bind said …"
};

// Binds one socket per queue. `xdp_is_skb` says the port's program runs in generic mode. Errors name
// netdev and queue; nothing stays bound then.
absl::StatusOr<LaneSockets> OpenLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                            absl::Span<const QueueAddress> queues, WantedXskMode wanted,
                                            bool xdp_is_skb, absl::Time deadline);

// XDP_STATISTICS of one socket: what the kernel dropped before the dataplane saw it.
absl::StatusOr<xdp_statistics> ReadXskStatistics(int socket);

// Whether a bound socket is in zero-copy mode (XDP_OPTIONS), for adoption.
absl::StatusOr<bool> IsZeroCopy(int socket);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_LANE_SOCKETS_H_
