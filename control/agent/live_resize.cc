#include "control/agent/live_resize.h"

#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::Status LiveResize::Do(const Step& step, absl::Time deadline) {
  switch (step.kind) {
    case StepKind::kMakeLanes:
      return instance_.MakeLanes(step.from, step.to);
    case StepKind::kSetTransmitLanes:
      return instance_.ChangeTransmitLanes(step.to);
    case StepKind::kSpreadFlows:
      return instance_.SpreadFlows();
    case StepKind::kWaitQuiet:
      return WaitQuiet(step.to, step.from, deadline);
    case StepKind::kSuspendXdp:
      return SetXdp(false);
    case StepKind::kCloseLanes:
      return CloseLanes(step.to, step.from, deadline);
    case StepKind::kSetChannels:
      return instance_.ports_[step.port].SetQueuePairs(step.to, deadline);
    case StepKind::kBindLanes:
      return instance_.BindLanes(step.from, step.to, deadline);
    case StepKind::kResumeXdp:
      return SetXdp(true);
    case StepKind::kSetSpread:
      return SetSpread(step.from, step.to);
    case StepKind::kPlaceLanes:
      return instance_.Place(step.to);
  }
  return absl::InternalError("a step of no known kind");
}

absl::Status LiveResize::Undo(const Step& step) {
  const absl::Time no_deadline = absl::InfiniteFuture();
  absl::Status s;
  switch (step.kind) {
    case StepKind::kMakeLanes:
      s = CloseLanes(step.from, step.to, no_deadline);
      break;
    case StepKind::kSetTransmitLanes:
      s = instance_.ChangeTransmitLanes(step.from);
      break;
    case StepKind::kSpreadFlows:
      s = instance_.ChangeTransmitLanes(step.to);
      break;
    case StepKind::kWaitQuiet:
      break;
    case StepKind::kSuspendXdp:
      s = SetXdp(true);
      break;
    case StepKind::kCloseLanes:
      s = instance_.OpenLanes(step.to, step.from, no_deadline);
      if (absl::IsUnavailable(s)) {
        // The dataplane died over this: bind the lanes all the same, for its successor.
        s = instance_.OpenLanes(step.to, step.from, no_deadline);
      }
      break;
    case StepKind::kSetChannels:
      s = instance_.ports_[step.port].SetQueuePairs(step.from, no_deadline);
      break;
    case StepKind::kBindLanes:
      s = CloseLanes(step.from, step.to, no_deadline);
      break;
    case StepKind::kResumeXdp:
      s = SetXdp(false);
      break;
    case StepKind::kSetSpread:
      s = SetSpread(step.to, step.from);
      break;
    case StepKind::kPlaceLanes:
      s = instance_.Place(step.from);
      break;
  }
  // A dataplane that died in the middle is given the old state when it is started again
  // (Instance::ConfigureDataplane reads what these steps leave in the lane table).
  return absl::IsUnavailable(s) ? absl::OkStatus() : s;
}

// What still comes for a lane that is closed falls to the bridge lane, which therefore waits until it is drained.
absl::Status LiveResize::CloseLanes(uint32_t first, uint32_t end, absl::Time deadline) {
  for (uint32_t lane = end; lane-- > first;) {
    if (instance_.lanes_.Find(lane) == nullptr) {
      continue;
    }
    absl::Status s = absl::Now() >= deadline
                         ? absl::DeadlineExceededError("the time given ran out")
                         : instance_.Fenced({kBridgeLane}, [&] { return instance_.RemoveLane(lane); }, {});
    if (!s.ok()) {
      if (absl::Status undone = instance_.OpenLanes(lane + 1, end, absl::InfiniteFuture()); !undone.ok()) {
        spdlog::error("opening lanes again: {}", std::string(undone.message()));
      }
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status LiveResize::WaitQuiet(uint32_t first, uint32_t end, absl::Time deadline) {
  // A flow moves as soon as one packet of its other direction left by its new lane. What is still steered
  // to a dying lane at the bound are one-way flows; they fall to the bridge, or to the tap's purge.
  constexpr absl::Duration kQuiet = absl::Milliseconds(20);
  constexpr absl::Duration kBound = absl::Milliseconds(500);
  const auto received = [&] {
    uint64_t sum = 0;
    for (uint32_t lane = first; lane < end; ++lane) {
      for (const LanePortStats& port : instance_.stats()->lanes[lane].ports) {
        sum += port.rx_packets.Get();
      }
    }
    return sum;
  };
  const absl::Time bound = std::min(deadline, absl::Now() + kBound);
  uint64_t last = received();
  absl::Time since = absl::Now();
  while (absl::Now() < bound && absl::Now() - since < kQuiet) {
    absl::SleepFor(absl::Milliseconds(2));
    if (const uint64_t now = received(); now != last) {
      last = now;
      since = absl::Now();
    }
  }
  return absl::OkStatus();
}

// Off: what the pair lanes received now comes over the bridge; on: the other way round.
absl::Status LiveResize::SetXdp(bool on) {
  const std::vector<uint32_t> pairs = Lanes(0, kMaxPairLanes);
  const std::vector<uint32_t> bridge = {kBridgeLane};
  const auto change = [&] {
    absl::Status switched = SwitchXdp(on);
    if (switched.ok() && on) {
      WaitForBridges();
    }
    return switched;
  };
  return on ? instance_.Fenced(pairs, change, bridge) : instance_.Fenced(bridge, change, pairs);
}

absl::Status LiveResize::SwitchXdp(bool on) {
  const auto set = [](AgentPort& port, bool value) { return value ? port.ResumeXdp() : port.SuspendXdp(); };
  for (size_t i = 0; i < instance_.ports_.size(); ++i) {
    absl::Status s = set(instance_.ports_[i], on);
    if (!s.ok()) {
      while (i-- > 0) {
        if (absl::Status undone = set(instance_.ports_[i], !on); !undone.ok()) {
          spdlog::error("XDP: {}", std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

// With XDP on again nothing new enters the bridges, but for queues without a lane in a rollback; what is still in the
// veth pairs reaches the bridge lane within the next softirqs. Where the count does not come out (a veth ring
// overflowed, or a merged packet fell into other pieces than it came from) it stands still, which says the same.
void LiveResize::WaitForBridges() {
  constexpr absl::Duration kStill = absl::Milliseconds(10);  // many softirqs, also on an emulated guest
  constexpr absl::Duration kLook = absl::Microseconds(500);
  const absl::Time bound = absl::Now() + absl::Milliseconds(100);
  int64_t last = instance_.OnTheBridges();
  absl::Time since = absl::Now();
  while (!instance_.down_ && last > on_bridges_before_ && absl::Now() - since < kStill && absl::Now() < bound) {
    absl::SleepFor(kLook);
    if (const int64_t now = instance_.OnTheBridges(); now != last) {
      last = now;
      since = absl::Now();
    }
  }
}

// Of the spread lever, where flows move one way only (control/kernel/rss_table.h): from lanes that go idle to those
// that stay in use, or from those to fresh ones. After a channels resize, which has the device forget its table,
// flows may have been anywhere; that part is not put in order.
absl::Status LiveResize::SetSpread(uint32_t from, uint32_t to) {
  // The device has answered; what it put into the old virtqueues before is taken by the driver's next polls, which
  // come within a millisecond or so of an interrupt, even emulated.
  constexpr absl::Duration kPolls = absl::Milliseconds(5);
  const auto change = [&] { return SwitchSpread(from, to); };
  return from < to ? instance_.Fenced(Lanes(from, to), change, Lanes(0, from), kPolls)
                   : instance_.Fenced(Lanes(0, to), change, Lanes(to, from), kPolls);
}

std::vector<uint32_t> LiveResize::Lanes(uint32_t first, uint32_t end) const {
  end = std::min(end, instance_.lanes_.pair_lanes());
  std::vector<uint32_t> lanes(end > first ? end - first : 0);
  std::iota(lanes.begin(), lanes.end(), first);
  return lanes;
}

absl::Status LiveResize::SwitchSpread(uint32_t from, uint32_t to) {
  for (size_t i = 0; i < instance_.ports_.size(); ++i) {
    absl::Status s = instance_.ports_[i].SpreadOver(to);
    if (!s.ok()) {
      while (i-- > 0) {
        if (absl::Status undone = instance_.ports_[i].SpreadOver(from); !undone.ok()) {
          spdlog::error("RSS: {}", std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

ResizeState Instance::CurrentState() const {
  ResizeState state;
  state.open_pairs = lanes_.pair_lanes();
  state.active_pairs = active_pairs_;
  state.workers = static_cast<uint32_t>(worker_cores_.size());
  state.usable_cores = static_cast<uint32_t>(usable_cores_.size());
  state.possible_cpus = possible_cpus_;
  state.workers_wanted = config_.dataplane.workers;
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
    frames += static_cast<int64_t>(ports_[index].BridgedFrames()) -
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
  last_resize_ = std::move(finished);
  return error;
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
  if (plan->lever == Lever::kNone || RunResize(*plan, deadline).ok()) {
    config_.dataplane.workers = workers;
  }
  EndResize();
  return plan;
}

}  // namespace sluice
