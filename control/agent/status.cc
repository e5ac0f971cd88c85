#include "control/agent/status.h"

#include <time.h>

#include <iterator>
#include <string>
#include <utility>

#include "control/agent/version.h"

namespace sluice {
namespace {

const char* ModeName(XskMode mode) {
  switch (mode) {
    case XskMode::kZeroCopy:
      return "zerocopy";
    case XskMode::kCopy:
      return "copy";
    case XskMode::kSkb:
      return "skb";
  }
  return "copy";
}

const char* StateName(ResizeOutcome::State state) {
  switch (state) {
    case ResizeOutcome::State::kDone:
      return "done";
    case ResizeOutcome::State::kRolledBack:
      return "rolled back";
    case ResizeOutcome::State::kRollbackFailed:
      return "rollback failed";
  }
  return "";
}

uint64_t Nanoseconds(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

// In the order of enum sluice_verdict.
constexpr const char* kVerdictNames[SLUICE_VERDICT_COUNT] = {"dataplane", "pass",      "drop",      "no_socket",
                                                             "malformed", "bridged",   "down_pass", "down_drop",
                                                             "blocked",   "offloaded", "overloaded"};

// Of the verdicts the one that is a drop for want of room, as are the sockets' (kKernelDropNames); others are wanted.
constexpr const char* kOverloaded = kVerdictNames[SLUICE_VERDICT_OVERLOADED];

void PutIfAny(google::protobuf::Map<std::string, uint64_t>& map, const std::string& key, uint64_t value) {
  if (value != 0) {
    map[key] += value;
  }
}

// In the order of KernelDrops.
constexpr const char* kKernelDropNames[] = {"kernel_rx_dropped", "kernel_rx_ring_full", "kernel_rx_invalid",
                                            "kernel_tx_invalid"};

// What it counted, which outlives the lane.
void FillCounters(const Instance& instance, uint32_t lane, uint32_t port, wire::Queue& queue) {
  const LanePortStats& stats = instance.stats()->lanes[lane].ports[port];
  queue.set_lane(lane);
  queue.set_rx_packets(stats.rx_packets.Get());
  queue.set_tx_packets(stats.tx_packets.Get());
  queue.set_checksums_completed(stats.checksums_completed.Get());
  auto& drops = *queue.mutable_drops();
  for (uint32_t reason = 0; reason < kDropReasons; ++reason) {
    PutIfAny(drops, DropReasonName(static_cast<DropReason>(reason)), stats.drops[reason].Get());
  }
  const KernelDrops kernel = instance.lanes().Drops(lane, port);
  const uint64_t counts[] = {kernel.rx_dropped, kernel.rx_ring_full, kernel.rx_invalid, kernel.tx_invalid};
  for (size_t i = 0; i < std::size(kKernelDropNames); ++i) {
    PutIfAny(drops, kKernelDropNames[i], counts[i]);
  }
}

void FillQueue(const Instance& instance, uint32_t lane, uint32_t port, wire::Queue& queue) {
  FillCounters(instance, lane, port, queue);
  queue.set_worker(instance.WorkerOf(lane));
  if (const LaneEntry* entry = instance.lanes().Find(lane); entry != nullptr) {
    queue.set_mode(ModeName(entry->sockets.mode));
    queue.set_mode_reason(entry->sockets.mode_reason);
    queue.set_huge_pages(HasHugePages(entry->sockets.umem.get()));
  }
}

void FillVerdicts(const AgentPort& port, uint32_t queue, wire::Queue& out) {
  const absl::StatusOr<sluice_counters> counters = port.maps().ReadCounters(queue);
  for (uint32_t verdict = 0; counters.ok() && verdict < SLUICE_VERDICT_COUNT; ++verdict) {
    PutIfAny(*out.mutable_xdp_packets(), kVerdictNames[verdict], counters->packets[verdict]);
  }
  if (counters.ok()) {
    PutIfAny(*out.mutable_drops(), kOverloaded, counters->packets[SLUICE_VERDICT_OVERLOADED]);
  }
}

void FillPort(const Instance& instance, uint32_t index, wire::Port& out) {
  const AgentPort& port = instance.ports()[index];
  out.set_name(port.config().name);
  out.set_netdev(port.netdev());
  out.set_driver(port.driver());
  out.mutable_queue_pairs()->set_current(instance.active_pairs());
  out.mutable_queue_pairs()->set_max(port.max_pairs());
  out.mutable_queue_pairs()->set_wanted(instance.wanted_pairs());
  out.mutable_queue_pairs()->set_open(instance.lanes().pair_lanes());
  out.mutable_xdp()->set_mode(port.xdp().mode() == XdpMode::kNative ? "native" : "skb");
  out.mutable_xdp()->set_attached_by(port.saved().adopted_xdp() ? "xdp-loader" : "sluice-agent");
  out.mutable_xdp()->set_other_programs(port.xdp().other_programs());
  for (uint32_t lane = 0; lane < instance.lanes().pair_lanes(); ++lane) {
    wire::Queue& queue = *out.add_queues();
    queue.set_index(lane);
    FillQueue(instance, lane, index, queue);
    FillVerdicts(port, lane, queue);
  }
  for (uint32_t lane = instance.lanes().pair_lanes(); lane < port.max_pairs(); ++lane) {
    wire::Queue queue;
    FillCounters(instance, lane, index, queue);
    FillVerdicts(port, lane, queue);
    if (queue.rx_packets() + queue.tx_packets() > 0 || !queue.drops().empty() || !queue.xdp_packets().empty()) {
      queue.set_index(lane);
      *out.add_closed_queues() = std::move(queue);
    }
  }
  FillQueue(instance, kBridgeLane, index, *out.mutable_bridge());
  if (const absl::StatusOr<sluice_to_kernel_counters> counters = port.bridge().ReadToKernel(); counters.ok()) {
    out.set_to_kernel(counters->packets);
    out.set_to_kernel_strays(counters->strays);
  }
  if (const std::optional<RxDrops> drops = port.rx_drops(); drops.has_value()) {
    out.set_rx_drops(drops->drops);
    out.set_rx_xdp_drops(drops->xdp_drops);
  }
}

// XDP received and sent them in one go.
uint64_t OffloadedPackets(const Instance& instance) {
  uint64_t packets = 0;
  for (const AgentPort& port : instance.ports()) {
    for (uint32_t queue = 0; queue < port.max_pairs(); ++queue) {
      if (const absl::StatusOr<sluice_counters> counters = port.maps().ReadCounters(queue); counters.ok()) {
        packets += counters->packets[SLUICE_VERDICT_OFFLOADED];
      }
    }
  }
  return packets;
}

void FillBalance(const Instance& instance, wire::Balance& out) {
  const BalanceSums sums = instance.stats().Balance();
  const uint64_t offloaded = OffloadedPackets(instance);
  out.set_received(sums.received + offloaded);
  out.set_offloaded(offloaded);
  out.set_originated(sums.originated);
  out.set_transmitted(sums.transmitted);
  out.set_passed(sums.passed);
  out.set_dropped(sums.dropped);
  out.set_held(sums.held);
  out.set_unaccounted(sums.unaccounted());
}

// To a socket, the bridge or the stack. All others are drops, also those that are yet to be invented.
bool LeavesXdp(uint32_t verdict) {
  switch (verdict) {
    case SLUICE_VERDICT_DATAPLANE:
    case SLUICE_VERDICT_PASS:
    case SLUICE_VERDICT_NO_SOCKET:
    case SLUICE_VERDICT_BRIDGED:
    case SLUICE_VERDICT_DOWN_PASS:
    case SLUICE_VERDICT_DOWN_DROP:
    case SLUICE_VERDICT_OFFLOADED:
      return true;
    default:
      return false;
  }
}

}  // namespace

wire::LastResize MakeLastResize(const FinishedResize& resize) {
  wire::LastResize out;
  out.set_method(LeverName(resize.lever));
  out.set_from(resize.from);
  out.set_to(resize.to);
  out.set_blocked_ns(Nanoseconds(resize.outcome.blocked));
  out.set_held(resize.costs.held);
  out.set_bridged(resize.costs.bridged);
  out.set_lost(resize.costs.lost);
  out.set_reordered(resize.costs.reordered);
  out.set_result(StateName(resize.outcome.state));
  out.set_error(std::string(resize.outcome.error.message()));
  for (const TimedStep& step : resize.outcome.steps) {
    wire::StepTime& time = *out.add_steps();
    time.set_step(step.text);
    time.set_took_ns(Nanoseconds(step.took));
    for (const TimedCall& call : step.calls) {
      wire::CallTime& one = *time.add_calls();
      one.set_call(call.name);
      one.set_took_ns(Nanoseconds(call.took));
      one.set_times(call.times);
    }
  }
  return out;
}

wire::StatusResponse MakeStatus(const Instance& instance, std::vector<WorkerTimes>& previous) {
  wire::StatusResponse out;
  out.set_version(kVersion);
  wire::Dataplane& dataplane = *out.mutable_dataplane();
  dataplane.set_state(instance.dataplane_down() ? "down" : "running");
  dataplane.set_pid(static_cast<uint32_t>(instance.link().pid()));
  dataplane.set_restarts(instance.restarts());
  dataplane.set_function(instance.config().function.type);
  for (uint32_t i = 0; i < instance.ports().size(); ++i) {
    FillPort(instance, i, *out.add_ports());
  }
  const std::vector<uint32_t>& cores = instance.worker_cores();
  previous.resize(cores.size());
  for (uint32_t w = 0; w < cores.size(); ++w) {
    wire::Worker& worker = *out.add_workers();
    worker.set_index(w);
    worker.set_core(cores[w]);
    const WorkerTimes now{instance.stats()->workers[w].busy_ns.Get(), instance.stats()->workers[w].idle_ns.Get()};
    const uint64_t busy = now.busy_ns - previous[w].busy_ns;
    const uint64_t all = busy + now.idle_ns - previous[w].idle_ns;
    worker.set_busy_ratio(all == 0 ? 0.0 : static_cast<double>(busy) / static_cast<double>(all));
    previous[w] = now;
    for (const auto& [index, lane] : instance.lanes().lanes()) {
      if (index != kBridgeLane && instance.WorkerOf(index) == w) {
        worker.add_lanes(index);
      }
    }
  }
  FillBalance(instance, *out.mutable_balance());
  out.mutable_offload()->set_on(instance.offloads());
  out.mutable_offload()->set_reason(instance.why_no_offload());
  out.mutable_offload()->set_flows(instance.stats()->flows_offloaded.Get());
  for (uint32_t reason = 0; reason < kDropReasons; ++reason) {
    out.add_drop_reasons(DropReasonName(static_cast<DropReason>(reason)));
  }
  for (const char* reason : kKernelDropNames) {
    out.add_drop_reasons(reason);
  }
  out.add_drop_reasons(kOverloaded);
  if (instance.last_resize().has_value()) {
    *out.mutable_last_resize() = MakeLastResize(*instance.last_resize());
  }
  // Those that never happened as well: a counter that begins at 1 has not increased, for whoever watches it.
  for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    for (const auto state :
         {ResizeOutcome::State::kDone, ResizeOutcome::State::kRolledBack, ResizeOutcome::State::kRollbackFailed}) {
      const auto found = instance.resize_totals().find({lever, state});
      const ResizeTotals totals = found == instance.resize_totals().end() ? ResizeTotals() : found->second;
      wire::ResizeCount& count = *out.add_resizes();
      count.set_method(LeverName(lever));
      count.set_result(StateName(state));
      count.set_count(totals.count);
      count.set_blocked_ns(Nanoseconds(totals.blocked));
      count.set_held(totals.costs.held);
      count.set_lost(totals.costs.lost);
      count.set_reordered(totals.costs.reordered);
    }
  }
  return out;
}

uint64_t DroppedInXdp(const Instance& instance, uint32_t port) {
  uint64_t dropped = 0;
  for (uint32_t queue = 0; queue < instance.ports()[port].max_pairs(); ++queue) {
    if (const auto counters = instance.ports()[port].maps().ReadCounters(queue); counters.ok()) {
      for (uint32_t verdict = 0; verdict < SLUICE_VERDICT_COUNT; ++verdict) {
        dropped += LeavesXdp(verdict) ? 0 : counters->packets[verdict];
      }
    }
    const KernelDrops kernel = instance.lanes().Drops(queue, port);
    dropped += kernel.rx_dropped + kernel.rx_ring_full;
  }
  return dropped;
}

wire::StatsResponse MakeStats(const Instance& instance) {
  wire::StatsResponse out;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  constexpr uint64_t kNsPerSecond = 1'000'000'000;
  out.set_monotonic_ns(static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec));
  for (uint32_t i = 0; i < instance.ports().size(); ++i) {
    FillPort(instance, i, *out.add_ports());
  }
  FillBalance(instance, *out.mutable_balance());
  return out;
}

}  // namespace sluice
