#include "control/resize/resize_costs.h"

namespace sluice {

ResizeCosts CountCosts(const ResizeObjects& objects) {
  const StatsView& stats = objects.dataplane.stats();
  ResizeCosts costs;
  costs.lost = stats.Balance().dropped;
  for (uint32_t index = 0; index < kMaxLanes; ++index) {
    const LaneStats& lane = stats->lanes[index];
    costs.held += lane.fence_held.Get();
    costs.reordered += lane.fence_unproven.Get();
    for (uint32_t port = 0; port < objects.ports.size(); ++port) {
      costs.lost += objects.lanes.Drops(index, port).Sum();
      costs.bridged += index == kBridgeLane ? lane.ports[port].rx_packets.Get() : 0;
    }
  }
  return costs;
}

int64_t FramesOnBridges(const ResizeObjects& objects) {
  const LaneStats& bridge = objects.dataplane.stats()->lanes[kBridgeLane];
  int64_t frames = 0;
  for (uint32_t port = 0; port < objects.ports.size(); ++port) {
    const uint64_t sent = objects.ports[port].Packets(SLUICE_VERDICT_BRIDGED, 0, objects.ports[port].info().max_pairs);
    const uint64_t arrived = bridge.ports[port].rx_packets.Get() + objects.lanes.Drops(kBridgeLane, port).Sum();
    frames += static_cast<int64_t>(sent) - static_cast<int64_t>(arrived);
  }
  return frames;
}

}  // namespace sluice
