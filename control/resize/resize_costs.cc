#include "control/resize/resize_costs.h"

#include <numeric>

namespace sluice {
namespace {

constexpr DropReason kReasons[] = {
    DropReason::kTxRingFull, DropReason::kHandoffFull, DropReason::kNoFrame,      DropReason::kNoRoute,
    DropReason::kLaneClosed, DropReason::kCrash,       DropReason::kToKernelFull,
};
constexpr const char* kOverloaded = "overloaded";  // XDP kept out what a socket had no room for

void AddTo(Losses& losses, const char* reason, uint64_t frames) {
  if (frames > 0) {
    losses[reason] += frames;
  }
}

}  // namespace

uint64_t Sum(const Losses& losses) {
  return std::accumulate(losses.begin(), losses.end(), uint64_t{0},
                         [](uint64_t sum, const auto& loss) { return sum + loss.second; });
}

ResizeCosts ResizeCosts::operator-(const ResizeCosts& before) const {
  ResizeCosts costs = {bridged - before.bridged, held - before.held, reordered - before.reordered, {}};
  for (const auto& [reason, frames] : lost) {
    const auto then = before.lost.find(reason);
    AddTo(costs.lost, reason.c_str(), frames - (then == before.lost.end() ? 0 : then->second));
  }
  return costs;
}

ResizeCosts ResizeCosts::operator+(const ResizeCosts& more) const {
  ResizeCosts costs = {bridged + more.bridged, held + more.held, reordered + more.reordered, lost};
  for (const auto& [reason, frames] : more.lost) {
    costs.lost[reason] += frames;
  }
  return costs;
}

ResizeCosts CountCosts(const ResizeObjects& objects) {
  const StatsView& stats = objects.dataplane.stats();
  ResizeCosts costs;
  for (uint32_t index = 0; index < kMaxLanes; ++index) {
    const LaneStats& lane = stats.lane(index);
    costs.held += lane.fence_held.Get();
    costs.reordered += lane.fence_unproven.Get();
    for (uint32_t port = 0; port < objects.ports.size(); ++port) {
      costs.bridged += index == kBridgeLane ? stats.port(index, port).rx_packets.Get() : 0;
      for (const DropReason reason : kReasons) {
        AddTo(costs.lost, DropReasonName(reason), stats.drops(index, port, static_cast<uint32_t>(reason)));
      }
      const KernelDrops drops = objects.lanes.Drops(index, port);
      for (const KernelDropCounter& counter : kKernelDropCounters) {
        AddTo(costs.lost, counter.name, drops.*counter.count);
      }
    }
  }
  for (const Port& port : objects.ports) {
    AddTo(costs.lost, kOverloaded, port.Packets(SLUICE_VERDICT_OVERLOADED, 0, port.info().max_pairs));
  }
  return costs;
}

int64_t FramesOnBridges(const ResizeObjects& objects) {
  uint64_t frames = 0;  // unsigned, since the counters may be any numbers
  for (uint32_t port = 0; port < objects.ports.size(); ++port) {
    const uint64_t sent = objects.ports[port].BridgedPackets(0, objects.ports[port].info().max_pairs);
    frames += sent - objects.dataplane.stats().port(kBridgeLane, port).rx_packets.Get() -
              objects.lanes.Drops(kBridgeLane, port).Sum();
  }
  return static_cast<int64_t>(frames);
}

}  // namespace sluice
