// What a port's driver received and dropped, as it counts that itself by queue (`ethtool -S`: rx_queue_0_drops and
// rx_queue_0_xdp_drops, or rx0_drops): virtio_net and veth do.
//
// virtio_net counts in `drops` whatever it received and gave to nobody, and of that in `xdp_drops` what ended while a
// program ran, was about to, or could not pass it on: a program's own XDP_DROP, a redirect that failed, and, before any
// program sees them, frames with a partial checksum and super-packets (drivers/net/virtio_net.c:
// mergeable_xdp_get_buf, receive_small_xdp). In veth the two exclude each other.
//
// One thread.
#ifndef SLUICE_CONTROL_KERNEL_RX_DROPS_H_
#define SLUICE_CONTROL_KERNEL_RX_DROPS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"

namespace sluice {

struct RxDrops {
  uint64_t drops = 0;
  uint64_t xdp_drops = 0;
};

// By queue, of what GetDriverStats() gave. Pure.
std::map<uint32_t, RxDrops> RxDropsByQueue(absl::Span<const std::pair<std::string, uint64_t>> stats);

class RxDropsWatch {
 public:
  explicit RxDropsWatch(std::string netdev) : netdev_(std::move(netdev)) {}

  // Of all queues since the driver made them. A queue that was closed keeps what was last seen of it, as the driver
  // shows open ones only. nullopt: the driver does not count this, or cannot be asked.
  std::optional<RxDrops> Read();

 private:
  std::string netdev_;
  std::map<uint32_t, RxDrops> seen_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_RX_DROPS_H_
