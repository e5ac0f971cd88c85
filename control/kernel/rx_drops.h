// Frames that a port's driver received and dropped, by the driver's own count of each queue (`ethtool -S`:
// rx_queue_0_drops and rx_queue_0_xdp_drops, or rx0_drops). virtio_net and veth have one.
//
// virtio_net counts in `drops` every frame that it received and passed to no program, socket or stack. Of these it
// counts in `xdp_drops` the ones that ended at XDP: by a program's own XDP_DROP, by a redirect that failed, and, before
// any program sees them, frames with a partial checksum and super-packets (drivers/net/virtio_net.c:
// mergeable_xdp_get_buf, receive_small_xdp). In veth no frame is in both.
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

// Picks the drops of each queue from the counters that GetDriverStats() read. Pure.
std::map<uint32_t, RxDrops> RxDropsByQueue(absl::Span<const std::pair<std::string, uint64_t>> stats);

class RxDropsWatch {
 public:
  explicit RxDropsWatch(std::string netdev) : netdev_(std::move(netdev)) {}

  void Rename(std::string netdev) { netdev_ = std::move(netdev); }

  // Sums all queues, since the driver made them. The driver shows open queues only, so a queue that was closed counts
  // as when it was last seen. nullopt: the driver does not count drops, or cannot be asked.
  std::optional<RxDrops> Read();

 private:
  std::string netdev_;
  std::map<uint32_t, RxDrops> seen_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_RX_DROPS_H_
