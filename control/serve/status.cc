#include "control/serve/status.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/serve/function_requests.h"
#include "control/serve/verdict_names.h"
#include "control/serve/version.h"
#include "dataplane/base/clock.h"

namespace sluice {
namespace {

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

const char* ModeName(Autoscaler::Mode mode) {
  switch (mode) {
    case Autoscaler::Mode::kOff:
      return "off";
    case Autoscaler::Mode::kAuto:
      return "auto";
    case Autoscaler::Mode::kHold:
      return "hold";
  }
  return "";
}

uint64_t Nanoseconds(absl::Duration duration) {
  return static_cast<uint64_t>(absl::ToInt64Nanoseconds(duration));
}

// The one verdict that is a drop for want of room, as the sockets' drops are; the others are wanted.
const char* Overloaded() {
  return VerdictName(SLUICE_VERDICT_OVERLOADED);
}

// Returns the names of LanePortStats::drops: the dataplane's own, then the function's.
std::vector<std::string> DropReasonNames(const Served& served) {
  std::vector<std::string> names;
  for (uint32_t reason = 0; reason < kDropReasons; ++reason) {
    names.emplace_back(DropReasonName(static_cast<DropReason>(reason)));
  }
  for (const NamedHelp& reason : served.function.descriptor().drop_reasons) {
    names.emplace_back(reason.name);
  }
  return names;
}

// The queue pairs of which there may be counters. A device may have more than Sluice uses.
uint32_t QueuesOf(const Port& port) {
  return std::min(port.info().max_pairs, kMaxPairLanes);
}

void PutIfAny(google::protobuf::Map<std::string, uint64_t>& map, const std::string& key, uint64_t value) {
  if (value != 0) {
    map[key] += value;
  }
}

// Fills in the counters, which outlive the lane.
void FillCounters(const Served& served, uint32_t lane, uint32_t port, wire::Queue& queue) {
  const LanePortStats& stats = served.dataplane.stats().port(lane, port);
  queue.set_lane(lane);
  queue.set_rx_packets(stats.rx_packets.Get());
  queue.set_tx_packets(stats.tx_packets.Get());
  queue.set_checksums_completed(stats.checksums_completed.Get());
  queue.set_tx_wakeups(stats.tx_wakeups.Get());
  auto& drops = *queue.mutable_drops();
  const std::vector<std::string> reasons = DropReasonNames(served);
  for (uint32_t reason = 0; reason < reasons.size(); ++reason) {
    PutIfAny(drops, reasons[reason], served.dataplane.stats().drops(lane, port, reason));
  }
  const KernelDrops kernel = served.lanes.Drops(lane, port);
  for (const KernelDropCounter& counter : kKernelDropCounters) {
    PutIfAny(drops, counter.name, kernel.*counter.count);
  }
}

void FillQueue(const Served& served, uint32_t lane, uint32_t port, wire::Queue& queue) {
  FillCounters(served, lane, port, queue);
  queue.set_worker(served.placement.WorkerOf(lane));
  if (const LaneEntry* entry = served.lanes.Find(lane); entry != nullptr) {
    queue.set_mode(Name(entry->sockets.mode));
    queue.set_mode_reason(entry->sockets.mode_reason);
    queue.set_huge_pages(HasHugePages(entry->sockets.umem.get()));
  }
}

void FillVerdicts(const Port& port, uint32_t queue, wire::Queue& out) {
  const absl::StatusOr<sluice_counters> counters = port.ReadCounters(queue);
  for (uint32_t verdict = 0; counters.ok() && verdict < SLUICE_VERDICT_COUNT; ++verdict) {
    PutIfAny(*out.mutable_xdp_packets(), VerdictName(static_cast<sluice_verdict>(verdict)), counters->packets[verdict]);
  }
  if (counters.ok()) {
    PutIfAny(*out.mutable_drops(), Overloaded(), counters->packets[SLUICE_VERDICT_OVERLOADED]);
  }
}

void FillPort(const Served& served, uint32_t index, wire::Port& out) {
  const Port& port = served.ports[index];
  out.set_name(port.name());
  out.set_netdev(port.netdev());
  out.set_driver(port.info().driver);
  out.mutable_queue_pairs()->set_current(served.resizer.active_pairs());
  out.mutable_queue_pairs()->set_max(port.info().max_pairs);
  out.mutable_queue_pairs()->set_wanted(served.resizer.wanted_pairs());
  out.mutable_queue_pairs()->set_open(served.lanes.pair_lanes());
  out.mutable_xdp()->set_mode(Name(port.xdp_is_native() ? XdpMode::kNative : XdpMode::kSkb));
  out.mutable_xdp()->set_attached_by(port.info().adopted_xdp ? "xdp-loader" : "sluice-agent");
  out.mutable_xdp()->set_other_programs(port.other_xdp_programs());
  for (uint32_t lane = 0; lane < served.lanes.pair_lanes(); ++lane) {
    wire::Queue& queue = *out.add_queues();
    queue.set_index(lane);
    FillQueue(served, lane, index, queue);
    FillVerdicts(port, lane, queue);
  }
  for (uint32_t lane = served.lanes.pair_lanes(); lane < QueuesOf(port); ++lane) {
    wire::Queue queue;
    FillCounters(served, lane, index, queue);
    FillVerdicts(port, lane, queue);
    if (queue.rx_packets() + queue.tx_packets() > 0 || !queue.drops().empty() || !queue.xdp_packets().empty()) {
      queue.set_index(lane);
      *out.add_closed_queues() = std::move(queue);
    }
  }
  FillQueue(served, kBridgeLane, index, *out.mutable_bridge());
  if (const std::optional<RxDrops> drops = port.rx_drops(); drops.has_value()) {
    out.set_rx_drops(drops->drops);
    out.set_rx_xdp_drops(drops->xdp_drops);
  }
  if (const absl::StatusOr<sluice_to_kernel_counters> counters = port.ReadToKernel(); counters.ok()) {
    out.set_to_kernel(counters->packets);
    out.set_to_kernel_strays(counters->strays);
  }
}

// Packets that XDP received and sent by itself.
uint64_t OffloadedPackets(const Served& served) {
  uint64_t packets = 0;
  for (const Port& port : served.ports) {
    packets += port.Packets(SLUICE_VERDICT_OFFLOADED, 0, QueuesOf(port));
  }
  return packets;
}

void FillBalance(const Served& served, wire::Balance& out) {
  const BalanceSums sums = served.dataplane.stats().Balance();
  const uint64_t offloaded = OffloadedPackets(served);
  out.set_received(sums.received + offloaded);
  out.set_offloaded(offloaded);
  out.set_originated(sums.originated);
  out.set_transmitted(sums.transmitted);
  out.set_passed(sums.passed);
  out.set_dropped(sums.dropped);
  out.set_held(sums.held);
  out.set_unaccounted(sums.unaccounted());
}

// The dataplane wrote the times, and may have set them back.
double BusyRatio(const WorkerTimes& before, const WorkerTimes& now) {
  if (now.busy_ns < before.busy_ns || now.idle_ns < before.idle_ns) {
    return 0;
  }
  const auto busy = static_cast<double>(now.busy_ns - before.busy_ns);
  const double all = busy + static_cast<double>(now.idle_ns - before.idle_ns);
  return all > 0 ? busy / all : 0;
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
  out.set_lost(Sum(resize.costs.lost));
  out.mutable_lost_by()->insert(resize.costs.lost.begin(), resize.costs.lost.end());
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

wire::Autoscale MakeAutoscale(const Served& served) {
  const Autoscaler& autoscaler = served.autoscaler;
  wire::Autoscale out;
  out.set_mode(ModeName(autoscaler.mode()));
  out.set_pairs(served.resizer.active_pairs());
  const AutoscaleBounds bounds = autoscaler.bounds();
  out.set_min(bounds.min);
  out.set_max(bounds.max);
  out.set_why(autoscaler.sentence());
  for (const AutoscaleWhy why : kCountedWhys) {
    (*out.mutable_decisions())[AutoscaleWhyName(why)] = autoscaler.decisions(why);
  }
  return out;
}

wire::StatusResponse MakeStatus(const Served& served, std::vector<WorkerTimes>& previous) {
  wire::StatusResponse out;
  out.set_version(kVersion);
  wire::Dataplane& dataplane = *out.mutable_dataplane();
  dataplane.set_state(served.dataplane.down() ? "down" : "running");
  dataplane.set_pid(static_cast<uint32_t>(served.dataplane.pid()));
  dataplane.set_restarts(served.supervisor.restarts());
  dataplane.set_hangs(served.supervisor.hangs());
  dataplane.set_why_lost(served.supervisor.why_lost());
  dataplane.set_function(served.config.function.type);
  for (uint32_t i = 0; i < served.ports.size(); ++i) {
    FillPort(served, i, *out.add_ports());
  }
  out.mutable_degraded()->Assign(served.ports.degraded().begin(), served.ports.degraded().end());
  if (!served.dataplane.starved().empty()) {
    out.add_degraded(absl::StrCat("dataplane: ", served.dataplane.starved()));
  }
  const std::vector<uint32_t>& cores = served.placement.worker_cores();
  previous.resize(cores.size());
  for (uint32_t w = 0; w < cores.size(); ++w) {
    wire::Worker& worker = *out.add_workers();
    worker.set_index(w);
    worker.set_core(cores[w]);
    const WorkerStats& times = served.dataplane.stats().worker(w);
    const WorkerTimes now{times.busy_ns.Get(), times.idle_ns.Get()};
    worker.set_busy_ratio(BusyRatio(previous[w], now));
    worker.set_busy_rounds(times.busy_rounds.Get());
    worker.set_sleeps(times.sleeps.Get());
    previous[w] = now;
    for (const auto& [index, lane] : served.lanes.lanes()) {
      if (index != kBridgeLane && served.placement.WorkerOf(index) == w) {
        worker.add_lanes(index);
      }
    }
  }
  *out.mutable_autoscale() = MakeAutoscale(served);
  FillBalance(served, *out.mutable_balance());
  FillFunction(served, *out.mutable_function());
  out.mutable_offload()->set_on(served.offload.on());
  out.mutable_offload()->set_reason(served.offload.why_not());
  out.mutable_offload()->set_flows(served.dataplane.stats().flows_offloaded());
  for (const std::string& reason : DropReasonNames(served)) {
    out.add_drop_reasons(reason);
  }
  for (const KernelDropCounter& counter : kKernelDropCounters) {
    out.add_drop_reasons(counter.name);
  }
  out.add_drop_reasons(Overloaded());
  if (served.resizer.last_resize().has_value()) {
    *out.mutable_last_resize() = MakeLastResize(*served.resizer.last_resize());
  }
  // Counts of 0 as well: a counter that first appears as 1 shows no increase to Prometheus.
  for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    for (const auto state :
         {ResizeOutcome::State::kDone, ResizeOutcome::State::kRolledBack, ResizeOutcome::State::kRollbackFailed}) {
      const auto found = served.resizer.totals().find({lever, state});
      const ResizeTotals totals = found == served.resizer.totals().end() ? ResizeTotals() : found->second;
      wire::ResizeCount& count = *out.add_resizes();
      count.set_method(LeverName(lever));
      count.set_result(StateName(state));
      count.set_count(totals.count);
      count.set_blocked_ns(Nanoseconds(totals.blocked));
      count.set_held(totals.costs.held);
      count.set_lost(Sum(totals.costs.lost));
      count.set_reordered(totals.costs.reordered);
    }
  }
  return out;
}

uint64_t DroppedInXdp(const Served& served, uint32_t port) {
  uint64_t dropped = 0;
  for (uint32_t queue = 0; queue < QueuesOf(served.ports[port]); ++queue) {
    if (const auto counters = served.ports[port].ReadCounters(queue); counters.ok()) {
      for (uint32_t verdict = 0; verdict < SLUICE_VERDICT_COUNT; ++verdict) {
        dropped += LeavesXdp(static_cast<sluice_verdict>(verdict)) ? 0 : counters->packets[verdict];
      }
    }
    const KernelDrops kernel = served.lanes.Drops(queue, port);
    dropped += kernel.rx_dropped + kernel.rx_ring_full;
  }
  return dropped;
}

wire::StatsResponse MakeStats(const Served& served) {
  wire::StatsResponse out;
  out.set_monotonic_ns(static_cast<uint64_t>(MonotonicNs()));
  for (uint32_t i = 0; i < served.ports.size(); ++i) {
    FillPort(served, i, *out.add_ports());
  }
  FillBalance(served, *out.mutable_balance());
  return out;
}

}  // namespace sluice
