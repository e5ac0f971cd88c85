// Makes and binds a lane's sockets in one call, for tests that map no rings.
#ifndef SLUICE_TESTS_KERNEL_OPEN_LANE_H_
#define SLUICE_TESTS_KERNEL_OPEN_LANE_H_

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "control/kernel/lane_sockets.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

inline absl::StatusOr<LaneSockets> OpenLaneSockets(UniqueFd umem, const UmemLayout& layout, const XskRingSizes& rings,
                                                   std::vector<QueueAddress> queues, ModeSetting wanted,
                                                   bool xdp_is_skb, SteadyTime deadline) {
  absl::StatusOr<LaneSockets> lane = MakeLaneSockets(std::move(umem), layout, rings, std::move(queues));
  if (lane.ok()) {
    if (absl::Status bound = BindLaneSockets(*lane, wanted, xdp_is_skb, deadline); !bound.ok()) {
      return bound;
    }
  }
  return lane;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_KERNEL_OPEN_LANE_H_
