#include "control/agent/live_resize.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/forced_poll.h"
#include "control/resize/quiet_wait.h"
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
      return WaitQuiet(std::min(step.from, step.to), std::max(step.from, step.to), deadline);
    case StepKind::kSuspendXdp:
      return SetXdp(false);
    case StepKind::kCloseLanes:
      return CloseLanes(step.to, step.from, deadline);
    case StepKind::kSetChannels:
      return SetChannels(step.port, step.to, deadline);
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
      s = SetChannels(step.port, step.from, no_deadline);
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
  const auto received = [&](uint32_t from, uint32_t to) {
    uint64_t sum = 0;
    for (const AgentPort& port : instance_.ports_) {
      sum += port.BridgedFrames(from, to);
    }
    for (uint32_t lane = from; lane < to; ++lane) {
      for (const LanePortStats& port : instance_.stats()->lanes[lane].ports) {
        sum += port.rx_packets.Get();
      }
    }
    return sum;
  };
  const auto counts = [&] { return LaneCounts{.going = received(first, end), .staying = received(0, first)}; };
  QuietWait wait(FlowsFollowTransmit(instance_.CurrentState()), counts(), absl::Now());
  while (!wait.Over(counts(), absl::Now()) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(2));
  }
  if (wait.still_receiving()) {
    spdlog::warn("queues {} to {} still receive: flows that the device does not bring elsewhere", first, end - 1);
  }
  return absl::OkStatus();
}

absl::Status LiveResize::SetChannels(uint32_t port, uint32_t pairs, absl::Time deadline) {
  absl::Status s =
      instance_.calls_.Time("ethtool -L", [&] { return instance_.ports_[port].SetQueuePairs(pairs, deadline); });
  if (s.ok()) {
    RewriteRssTables();
  }
  return s;
}

// The device forgets its table whenever the driver tells it how many queues there are (Instance::WriteRssTables). In
// the window, too, flows shall stay on the queues they are on.
void LiveResize::RewriteRssTables() {
  if (absl::Status s = instance_.WriteRssTables(spread_over_); !s.ok()) {
    spdlog::error("RSS: {}; the device spreads packets as it likes", std::string(s.message()));
  }
}

// Off: what the pair lanes received now comes over the bridge; on: the other way round.
absl::Status LiveResize::SetXdp(bool on) {
  const std::vector<uint32_t> pairs = Lanes(0, kMaxPairLanes);
  const std::vector<uint32_t> bridge = {kBridgeLane};
  const auto change = [&] {
    absl::Status switched = SwitchXdp(on);
    if (switched.ok() && on) {
      instance_.calls_.Time("wait until the bridge is empty", [&] { WaitForBridges(); });
    }
    return switched;
  };
  return on ? instance_.Fenced(pairs, change, bridge) : instance_.Fenced(bridge, change, pairs);
}

absl::Status LiveResize::SwitchXdp(bool on) {
  absl::Status s = SwitchXdpOfPorts(on);
  // The devices' queues were enabled anew, also where it was undone. A dataplane that is gone hears of what that came
  // to when the next is configured.
  if (absl::Status parked = instance_.QuarantineSentFrames(); !parked.ok() && !absl::IsUnavailable(parked)) {
    spdlog::error("sent frames may be overwritten: {}", std::string(parked.message()));
  }
  RewriteRssTables();
  return s;
}

absl::Status LiveResize::SwitchXdpOfPorts(bool on) {
  const auto set = [this](AgentPort& port, bool value) {
    return instance_.calls_.Time(absl::StrCat("XDP ", value ? "on" : "off"),
                                 [&] { return value ? port.ResumeXdp() : port.SuspendXdp(); });
  };
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

// Flows move one way only (control/kernel/rss_table.h): from lanes that go idle to those that stay in use, or from
// those to fresh ones.
absl::Status LiveResize::SetSpread(uint32_t from, uint32_t to) {
  const std::vector<uint32_t> old = from < to ? Lanes(0, from) : Lanes(to, from);
  const auto change = [&] {
    absl::Status s = instance_.calls_.Time("set RSS tables", [&] { return SwitchSpread(from, to); });
    if (s.ok()) {
      instance_.calls_.Time("poll the old queues", [&] { PollQueues(old); });
    }
    return s;
  };
  return instance_.Fenced(from < to ? Lanes(from, to) : Lanes(0, to), change, old);
}

// What the device had put into the queues of these lanes goes to their sockets.
void LiveResize::PollQueues(const std::vector<uint32_t>& lanes) {
  std::vector<int> sockets;
  for (const uint32_t lane : lanes) {
    for (const UniqueFd& socket : instance_.lanes_.FindSockets(lane)->sockets) {
      sockets.push_back(socket.get());
    }
  }
  if (absl::Status s = ForcePolls(sockets); !s.ok()) {
    spdlog::warn("flows that move may overtake themselves: {}", std::string(s.message()));
  }
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
  spread_over_ = to;
  return absl::OkStatus();
}

}  // namespace sluice
