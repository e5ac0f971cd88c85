#include "control/resize/lane_repair.h"

#include <algorithm>
#include <vector>

#include "control/resize/resize_repair.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Queues that closed sockets still hold are free after some 150 ms (lane_sockets.h).
constexpr absl::Duration kOpenBound = absl::Seconds(10);

FoundLanes Find(const ResizeObjects& objects) {
  FoundLanes found;
  found.transmit_lanes = objects.transmit.count();
  for (const auto& [index, lane] : objects.lanes.lanes()) {
    if (index == kBridgeLane) {
      found.bridge = objects.lanes.IsBound(lane);
    } else {
      found.pair_lanes[index] = objects.lanes.IsBound(lane);
    }
  }
  return found;
}

// Closes the lanes that `repair` names. The kernel keeps queues that have sockets, so this comes before ports are made
// to agree.
absl::Status Close(const LaneRepair& repair, const ResizeObjects& objects) {
  absl::Status s;
  if (repair.transmit_first.has_value()) {
    s = objects.transmit.Change(*repair.transmit_first);
  }
  for (size_t i = 0; s.ok() && i < repair.close.size(); ++i) {
    spdlog::warn("lane {} does not fit the devices, or was not ready yet: closing it", repair.close[i]);
    s = objects.lanes.Remove(repair.close[i]);
  }
  return s;
}

absl::Status Open(const LaneRepair& repair, uint32_t pairs, const ResizeObjects& objects) {
  absl::Status s;
  for (size_t i = 0; s.ok() && i < repair.open.size(); ++i) {
    const uint32_t lane = repair.open[i];
    spdlog::warn("queue pair {} has no lane: opening it", lane);
    s = objects.lanes.Open(lane, lane + 1, SteadyTime::Now() + kOpenBound);
  }
  if (s.ok()) {
    // In any case: flows may be spread over all lanes for a while, and the agent that would have ended that is dead.
    s = objects.transmit.Change(pairs);
  }
  if (s.ok() && repair.remake_bridge) {
    s = objects.lanes.Remove(kBridgeLane);
    s = s.ok() ? objects.lanes.OpenBridge() : s;
  }
  return s;
}

}  // namespace

absl::StatusOr<bool> RepairLanes(const ResizeObjects& objects) {
  const std::vector<uint32_t> have = objects.ports.QueuePairs();
  const LaneRepair first = PlanLaneRepair(Find(objects), *std::min_element(have.begin(), have.end()));
  if (absl::Status s = Close(first, objects); !s.ok()) {
    return s;
  }
  if (absl::Status s = objects.ports.MakePairsAgree(); !s.ok()) {
    return s;
  }
  const uint32_t pairs = objects.ports.queue_pairs();
  const LaneRepair rest = PlanLaneRepair(Find(objects), pairs);
  const bool transmit_differs = objects.transmit.count() != pairs;
  if (absl::Status s = Open(rest, pairs, objects); !s.ok()) {
    return s;
  }
  return !first.close.empty() || !rest.open.empty() || transmit_differs || rest.remake_bridge;
}

}  // namespace sluice
