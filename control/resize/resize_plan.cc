#include "control/resize/resize_plan.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bpf/sluice_abi.h"
#include "control/wire/levers.h"

namespace sluice {
namespace {

Step MakeStep(StepKind kind, uint32_t from, uint32_t to, std::string text, uint32_t port = 0) {
  return Step{kind, from, to, port, std::move(text)};
}

std::string LaneRange(uint32_t first, uint32_t end) {
  return end - first == 1 ? absl::StrCat("lane ", first) : absl::StrCat("lanes ", first, "-", end - 1);
}

absl::Status CheckCount(const ResizeState& state, uint32_t pairs) {
  if (pairs == 0) {
    return absl::InvalidArgumentError("0 queue pairs are not possible: a port needs at least one");
  }
  if (pairs > SLUICE_MAX_QUEUES) {
    return absl::InvalidArgumentError(
        absl::StrCat(pairs, " queue pairs are more than the ", SLUICE_MAX_QUEUES, " this build handles"));
  }
  for (const ResizePort& port : state.ports) {
    if (pairs > port.max_pairs) {
      return absl::InvalidArgumentError(
          absl::StrCat(port.netdev, " has at most ", port.max_pairs, " queue pair", port.max_pairs == 1 ? "" : "s",
                       ", ", pairs, " were asked for",
                       port.why_one_pair.empty() ? "; give the device more (QEMU: queues=N on the netdev, vectors=2N+2)"
                                                 : absl::StrCat(": ", port.why_one_pair)));
    }
  }
  return absl::OkStatus();
}

bool AllHaveRss(const ResizeState& state) {
  return std::all_of(state.ports.begin(), state.ports.end(), [](const ResizePort& p) { return p.has_rss; });
}

void AddPlacement(const ResizeState& state, uint32_t workers, ResizePlan& plan) {
  plan.steps.push_back(MakeStep(
      StepKind::kPlaceLanes, state.workers, workers,
      absl::StrCat("place lanes on ", workers, " worker", workers == 1 ? "" : "s", ", interrupts and XPS after them")));
}

void AddSpread(const ResizeState& state, uint32_t pairs, uint32_t open_pairs, ResizePlan& plan) {
  plan.steps.push_back(MakeStep(StepKind::kSetSpread, state.active_pairs, pairs,
                                absl::StrCat("RSS tables use ", pairs, " of ", open_pairs, " open pairs")));
}

ResizePlan SpreadPlan(const ResizeState& state, uint32_t pairs) {
  ResizePlan plan{Lever::kSpread, state.active_pairs, pairs, {}, {}};
  AddSpread(state, pairs, state.open_pairs, plan);
  AddPlacement(state, WorkersFor(state, pairs), plan);
  return plan;
}

void AddChannelSteps(const ResizeState& state, uint32_t pairs, ResizePlan& plan) {
  for (uint32_t i = 0; i < state.ports.size(); ++i) {
    plan.steps.push_back(MakeStep(StepKind::kSetChannels, state.open_pairs, pairs,
                                  absl::StrCat("ethtool -L ", state.ports[i].netdev, " combined ", pairs), i));
  }
}

void AddShrink(const ResizeState& state, uint32_t pairs, ResizePlan& plan) {
  const uint32_t open = state.open_pairs;
  const std::string dying = LaneRange(pairs, open);
  plan.steps.push_back(MakeStep(StepKind::kSetTransmitLanes, open, pairs,
                                absl::StrCat("send flows of ", dying, " through ", LaneRange(0, pairs))));
  plan.steps.push_back(
      MakeStep(StepKind::kWaitQuiet, open, pairs, absl::StrCat("wait until ", dying, " receive nothing")));
  plan.steps.push_back(MakeStep(StepKind::kCloseLanes, open, pairs, absl::StrCat("drain and close ", dying)));
  plan.steps.push_back(MakeStep(StepKind::kSuspendXdp, 0, 0, "take XDP off (the bridge takes over)"));
  AddChannelSteps(state, pairs, plan);
  plan.steps.push_back(MakeStep(StepKind::kResumeXdp, 0, 0, "put XDP back"));
}

void AddGrow(const ResizeState& state, uint32_t pairs, ResizePlan& plan) {
  const uint32_t open = state.open_pairs;
  const std::string fresh = LaneRange(open, pairs);
  plan.steps.push_back(
      MakeStep(StepKind::kMakeLanes, open, pairs, absl::StrCat("make packet memory and sockets of ", fresh)));
  plan.steps.push_back(MakeStep(StepKind::kSuspendXdp, 0, 0, "take XDP off (the bridge takes over)"));
  AddChannelSteps(state, pairs, plan);
  if (state.zero_copy) {
    // Replies through a lane that stays move the flow back to it.
    plan.steps.push_back(
        MakeStep(StepKind::kWaitQuiet, open, pairs, absl::StrCat("wait until queues of ", fresh, " receive nothing")));
  }
  plan.steps.push_back(MakeStep(StepKind::kBindLanes, open, pairs, absl::StrCat("bind sockets of ", fresh)));
  plan.steps.push_back(MakeStep(StepKind::kResumeXdp, 0, 0, "put XDP back"));
  plan.steps.push_back(
      MakeStep(StepKind::kSetTransmitLanes, open, pairs, absl::StrCat("transmit on ", LaneRange(0, pairs))));
  // Sending as before would leave every flow where it is.
  if (FlowsFollowTransmit(state)) {
    plan.steps.push_back(MakeStep(StepKind::kSpreadFlows, open, pairs,
                                  absl::StrCat("send each flow by its own of ", LaneRange(0, pairs), " for a while")));
  }
}

absl::StatusOr<ResizePlan> ChannelsPlan(const ResizeState& state, const ResizeWish& wish) {
  ResizePlan plan{Lever::kChannels, state.active_pairs, wish.pairs, {}, {}};
  for (const ResizePort& port : state.ports) {
    if (port.other_xdp_programs > 0 && !wish.force) {
      return absl::FailedPreconditionError(
          absl::StrCat(port.netdev, " carries ", port.other_xdp_programs, " other XDP program",
                       port.other_xdp_programs == 1 ? "" : "s",
                       ", which a channels resize takes off for its window; repeat with --force to allow that"));
    }
    // The two counts differ only on virtio_net, see CheckNoExtraXdpQueues in control/kernel/device_limits.h.
    if (port.is_virtio && wish.pairs + state.possible_cpus <= port.max_pairs) {
      return absl::FailedPreconditionError(
          absl::StrCat(port.netdev, " has ", port.max_pairs, " queue pairs and the guest ", state.possible_cpus,
                       " CPUs: with ", wish.pairs, " in use the driver would take ", state.possible_cpus,
                       " more for XDP, and frames sent there vanish; give the device at most as many queues as vCPUs"));
    }
    if (port.offers_guest_offloads) {
      plan.warnings.push_back(absl::StrCat(
          port.netdev,
          ": the device offers guest offloads, so the host may send super-packets in the window, which the driver "
          "drops when XDP comes back; for a lossless resize switch them off "
          "(QEMU: guest_csum=off,guest_tso4=off,guest_tso6=off,guest_ecn=off,guest_ufo=off,guest_uso4=off,"
          "guest_uso6=off)"));
    }
  }
  // Off the queues that go before they do, which ethtool asks for, too (net/ethtool/common.c:
  // ethtool_check_max_channel); onto fresh ones when they are there.
  const bool has_rss = AllHaveRss(state);
  if (has_rss && wish.pairs < state.active_pairs) {
    AddSpread(state, wish.pairs, state.open_pairs, plan);
  }
  if (wish.pairs < state.open_pairs) {
    AddShrink(state, wish.pairs, plan);
    plan.warnings.push_back(
        "one-way flows that the host still steers to a closed pair when it goes are lost in the host's tap queue");
  } else if (wish.pairs > state.open_pairs) {
    AddGrow(state, wish.pairs, plan);
  }
  if (has_rss && wish.pairs > state.active_pairs) {
    AddSpread(state, wish.pairs, wish.pairs, plan);
  }
  AddPlacement(state, WorkersFor(state, wish.pairs), plan);
  return plan;
}

}  // namespace

const char* LeverName(Lever lever) {
  switch (lever) {
    case Lever::kNone:
      return "none";
    case Lever::kCores:
      return wire::kCoresLever;
    case Lever::kSpread:
      return wire::kSpreadLever;
    case Lever::kChannels:
      return wire::kChannelsLever;
  }
  return "none";
}

absl::StatusOr<std::optional<Lever>> ParseLever(const std::string& name) {
  if (name.empty()) {
    return std::optional<Lever>();
  }
  for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    if (name == LeverName(lever)) {
      return std::optional<Lever>(lever);
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no such method: ", name, " (", absl::StrJoin(wire::kLevers, ", "), ")"));
}

bool FlowsFollowTransmit(const ResizeState& state) {
  return std::all_of(state.ports.begin(), state.ports.end(),
                     [](const ResizePort& port) { return port.is_virtio && !port.has_rss; });
}

uint32_t WorkersFor(const ResizeState& state, uint32_t active_pairs) {
  const uint32_t wanted = state.workers_wanted.value_or(active_pairs);
  return std::max<uint32_t>(1, std::min(wanted, state.usable_cores));
}

absl::StatusOr<ResizePlan> PlanWorkers(const ResizeState& state, uint32_t workers) {
  if (workers == 0) {
    return absl::InvalidArgumentError("0 workers are not possible: the lanes need at least one");
  }
  if (workers > SLUICE_MAX_QUEUES) {
    return absl::InvalidArgumentError(
        absl::StrCat(workers, " workers are more than the ", SLUICE_MAX_QUEUES, " this build handles"));
  }
  if (workers > state.usable_cores) {
    return absl::InvalidArgumentError(absl::StrCat(workers, " workers need as many cores, and ", state.usable_cores,
                                                   " can be used (those online, less any the config leaves out)"));
  }
  ResizePlan plan{Lever::kCores, state.workers, workers, {}, {}};
  if (workers == state.workers) {
    plan.lever = Lever::kNone;
    return plan;
  }
  AddPlacement(state, workers, plan);
  return plan;
}

absl::StatusOr<ResizePlan> PlanResize(const ResizeState& state, const ResizeWish& wish) {
  if (wish.lever == Lever::kCores) {
    // The pairs stay; as many cores as that many pairs would have had do the work.
    return PlanWorkers(state, wish.pairs);
  }
  if (absl::Status s = CheckCount(state, wish.pairs); !s.ok()) {
    return s;
  }
  if (wish.lever == Lever::kSpread) {
    if (!AllHaveRss(state)) {
      return absl::FailedPreconditionError(
          "spread needs a device with RSS on every port (QEMU: rss=on,hash=on); use --method channels");
    }
    if (wish.pairs > state.open_pairs) {
      return absl::FailedPreconditionError(absl::StrCat("spread can use the ", state.open_pairs, " open pairs, not ",
                                                        wish.pairs, "; use --method channels"));
    }
  }
  // --method channels also closes pairs that are open but idle.
  const bool same = wish.lever == Lever::kChannels ? wish.pairs == state.open_pairs && wish.pairs == state.active_pairs
                                                   : wish.pairs == state.active_pairs;
  if (same) {
    return ResizePlan{Lever::kNone, state.active_pairs, wish.pairs, {}, {}};
  }
  const bool can_spread = AllHaveRss(state) && wish.pairs <= state.open_pairs;
  if (wish.lever != Lever::kChannels && can_spread) {
    return SpreadPlan(state, wish.pairs);
  }
  return ChannelsPlan(state, wish);
}

}  // namespace sluice
