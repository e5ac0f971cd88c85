// An Instance's resizes: what state a plan starts from, running one, and what it cost.
#include <string>

#include "control/agent/instance.h"
#include "control/agent/live_resize.h"
#include "spdlog/spdlog.h"

namespace sluice {

ResizeState Instance::CurrentState() const {
  ResizeState state;
  state.open_pairs = lanes_.pair_lanes();
  state.active_pairs = active_pairs_;
  state.workers = static_cast<uint32_t>(worker_cores_.size());
  state.usable_cores = static_cast<uint32_t>(usable_cores_.size());
  state.possible_cpus = possible_cpus_;
  state.workers_wanted = config_.dataplane.workers;
  state.zero_copy = lanes_.zero_copy();
  for (const AgentPort& port : ports_) {
    ResizePort p;
    p.netdev = port.netdev();
    p.max_pairs = port.max_pairs();
    p.is_virtio = port.virtio().has_value();
    p.has_rss = port.has_rss();
    p.offers_guest_offloads = port.virtio().has_value() && port.virtio()->OffersGuestOffloads();
    p.other_xdp_programs = port.xdp().other_programs();
    p.why_one_pair = port.why_one_pair();
    state.ports.push_back(p);
  }
  return state;
}

ResizeCosts Instance::CostsSoFar() const {
  ResizeCosts costs;
  costs.lost = stats_->Balance().dropped;
  for (uint32_t index = 0; index < kMaxLanes; ++index) {
    const LaneStats& lane = (*stats_)->lanes[index];
    costs.held += lane.fence_held.Get();
    costs.reordered += lane.fence_unproven.Get();
    for (uint32_t port = 0; port < ports_.size(); ++port) {
      costs.lost += lanes_.Drops(index, port).Sum();
      costs.bridged += index == kBridgeLane ? lane.ports[port].rx_packets.Get() : 0;
    }
  }
  return costs;
}

int64_t Instance::OnTheBridges() const {
  int64_t frames = 0;
  for (uint32_t index = 0; index < ports_.size(); ++index) {
    frames += static_cast<int64_t>(ports_[index].BridgedFrames(0, ports_[index].max_pairs())) -
              static_cast<int64_t>((*stats_)->lanes[kBridgeLane].ports[index].rx_packets.Get() +
                                   lanes_.Drops(kBridgeLane, index).Sum());
  }
  return frames;
}

absl::Status Instance::RunResize(const ResizePlan& plan, absl::Time deadline) {
  FinishedResize finished;
  finished.lever = plan.lever;
  finished.from = plan.from;
  finished.to = plan.to;
  const ResizeCosts before = CostsSoFar();
  BeginResize(plan, before);
  LiveResize actions(*this);
  finished.outcome = RunPlan(plan, actions, deadline);
  finished.costs = CostsSoFar() - before;
  absl::Status error = finished.outcome.error;
  Record(std::move(finished));
  return error;
}

void Instance::Record(FinishedResize finished) {
  ResizeTotals& totals = resize_totals_[{finished.lever, finished.outcome.state}];
  ++totals.count;
  totals.blocked += finished.outcome.blocked;
  totals.costs = totals.costs + finished.costs;
  last_resize_ = std::move(finished);
}

absl::StatusOr<ResizePlan> Instance::Resize(const ResizeWish& wish, bool dry_run, absl::Time deadline) {
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.RefreshXdp(); !s.ok()) {
      return s;
    }
  }
  absl::StatusOr<ResizePlan> plan = PlanResize(CurrentState(), wish);
  if (!plan.ok() || dry_run || plan->lever == Lever::kNone) {
    return plan;
  }
  if (down_) {
    return absl::FailedPreconditionError("the dataplane is down; it is being restarted, try again in a moment");
  }
  if (absl::Status s = StopOffload(); !s.ok()) {
    return s;
  }
  if (RunResize(*plan, deadline).ok() && plan->lever != Lever::kCores) {
    active_pairs_ = wanted_pairs_ = wish.pairs;
  }
  EndResize();
  return plan;
}

absl::StatusOr<ResizePlan> Instance::SetWorkers(uint32_t workers, absl::Time deadline) {
  absl::StatusOr<ResizePlan> plan = PlanWorkers(CurrentState(), workers);
  if (!plan.ok()) {
    return plan;
  }
  if (down_) {
    return absl::FailedPreconditionError("the dataplane is down; it is being restarted, try again in a moment");
  }
  if (absl::Status s = plan->lever == Lever::kNone ? absl::OkStatus() : StopOffload(); !s.ok()) {
    return s;
  }
  if (plan->lever == Lever::kNone || RunResize(*plan, deadline).ok()) {
    config_.dataplane.workers = workers;
  }
  EndResize();
  return plan;
}

}  // namespace sluice
