#include "control/autoscale/load_sampler.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

// A worker cannot have worked for longer between two samples. Sums of such times do not overflow.
constexpr int64_t kMostNs = 3'600'000'000'000;

void AddKernelCounts(const ResizeObjects& objects, uint32_t lane, LaneLoad& load) {
  for (uint32_t port = 0; port < objects.ports.size(); ++port) {
    const KernelDrops kernel = objects.lanes.Drops(lane, port);
    load.drops += kernel.rx_dropped + kernel.rx_ring_full;
    if (const absl::StatusOr<sluice_counters> xdp = objects.ports[port].ReadCounters(lane); xdp.ok()) {
      load.drops += xdp->packets[SLUICE_VERDICT_OVERLOADED];
      load.offloaded += xdp->packets[SLUICE_VERDICT_OFFLOADED];
    }
  }
}

LoadSample Counts(const ResizeObjects& objects, uint32_t active_pairs, int64_t now_ns) {
  const StatsView& stats = objects.dataplane.stats();
  LoadSample counts;
  counts.at_ns = now_ns;
  for (uint32_t index = 0; index < active_pairs; ++index) {
    const LaneStats& lane = stats.lane(index);
    LaneLoad load{.worker = objects.placement.WorkerOf(index)};
    load.flow_samples = lane.flow_samples.Get();
    load.top_flow_samples = lane.top_flow_samples.Get();
    AddKernelCounts(objects, index, load);
    for (uint32_t port = 0; port < objects.ports.size(); ++port) {
      load.packets += stats.port(index, port).rx_packets.Get();
    }
    counts.lanes.push_back(load);
  }
  for (uint32_t index = 0; index < objects.placement.workers(); ++index) {
    const WorkerStats& worker = stats.worker(index);
    counts.workers.push_back({static_cast<int64_t>(worker.busy_ns.Get()), static_cast<int64_t>(worker.idle_ns.Get()),
                              worker.busy_rounds.Get()});
  }
  return counts;
}

template <typename Number>
Number Since(Number now, Number before) {
  return now > before && before >= 0 ? now - before : 0;
}

}  // namespace

std::optional<LoadSample> LoadSampler::Take(const ResizeObjects& objects, uint32_t active_pairs, int64_t now_ns) {
  LoadSample counts = Counts(objects, active_pairs, now_ns);
  const std::optional<LoadSample> before = std::exchange(last_, counts);
  if (!before.has_value() || before->lanes.size() != counts.lanes.size() ||
      before->workers.size() != counts.workers.size()) {
    return std::nullopt;
  }
  counts.took_ns = Since(now_ns, before->at_ns);
  for (size_t i = 0; i < counts.lanes.size(); ++i) {
    LaneLoad& lane = counts.lanes[i];
    const LaneLoad& was = before->lanes[i];
    lane.packets = Since(lane.packets, was.packets);
    lane.drops = Since(lane.drops, was.drops);
    lane.offloaded = Since(lane.offloaded, was.offloaded);
    lane.flow_samples = Since(lane.flow_samples, was.flow_samples);
    lane.top_flow_samples = Since(lane.top_flow_samples, was.top_flow_samples);
  }
  for (size_t i = 0; i < counts.workers.size(); ++i) {
    WorkerLoad& worker = counts.workers[i];
    const WorkerLoad& was = before->workers[i];
    worker.busy_ns = std::min(kMostNs, Since(worker.busy_ns, was.busy_ns));
    worker.idle_ns = std::min(kMostNs, Since(worker.idle_ns, was.idle_ns));
    worker.busy_rounds = Since(worker.busy_rounds, was.busy_rounds);
  }
  return counts;
}

}  // namespace sluice
