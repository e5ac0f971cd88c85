#include "control/resize/live_resize.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/kernel/forced_poll.h"
#include "control/kernel/progress.h"
#include "control/resize/quiet_wait.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::Status LiveResize::Do(const Step& step, SteadyTime deadline) {
  switch (step.kind) {
    case StepKind::kMakeLanes:
      return o_.lanes.Make(step.from, step.to);
    case StepKind::kSetTransmitLanes:
      return o_.transmit.Change(step.to);
    case StepKind::kSpreadFlows:
      return o_.transmit.Spread(SteadyTime::Now());
    case StepKind::kWaitQuiet:
      return WaitQuiet(std::min(step.from, step.to), std::max(step.from, step.to), deadline);
    case StepKind::kSuspendXdp:
      return SetXdp(false);
    case StepKind::kCloseLanes:
      return CloseLanes(step.to, step.from, deadline);
    case StepKind::kSetChannels:
      return SetChannels(step.port, step.to, deadline);
    case StepKind::kBindLanes:
      return o_.lanes.Bind(step.from, step.to, deadline);
    case StepKind::kResumeXdp:
      return SetXdp(true);
    case StepKind::kSetSpread:
      return SetSpread(step.from, step.to);
    case StepKind::kPlaceLanes:
      return o_.placement.Place(step.to, o_.lanes.All());
  }
  return absl::InternalError("a step of no known kind");
}

absl::Status LiveResize::Undo(const Step& step) {
  absl::Status s = Reverse(step);
  return absl::IsUnavailable(s) ? absl::OkStatus() : s;
}

absl::Status LiveResize::Reverse(const Step& step) {
  const SteadyTime no_deadline = SteadyTime::InfiniteFuture();
  switch (step.kind) {
    case StepKind::kMakeLanes:
      return CloseLanes(step.from, step.to, no_deadline);
    case StepKind::kSetTransmitLanes:
      return o_.transmit.Change(step.from);
    case StepKind::kSpreadFlows:
      return o_.transmit.Change(step.to);
    case StepKind::kWaitQuiet:
      return absl::OkStatus();
    case StepKind::kSuspendXdp:
      return SetXdp(true);
    case StepKind::kCloseLanes: {
      absl::Status s = o_.lanes.Open(step.to, step.from, no_deadline);
      // The dataplane died over this: bind the lanes all the same, for its successor.
      return absl::IsUnavailable(s) ? o_.lanes.Open(step.to, step.from, no_deadline) : s;
    }
    case StepKind::kSetChannels:
      return SetChannels(step.port, step.from, no_deadline);
    case StepKind::kBindLanes:
      return CloseLanes(step.from, step.to, no_deadline);
    case StepKind::kResumeXdp:
      return SetXdp(false);
    case StepKind::kSetSpread:
      return SetSpread(step.to, step.from);
    case StepKind::kPlaceLanes:
      return o_.placement.Place(step.from, o_.lanes.All());
  }
  return absl::InternalError("a step of no known kind");
}

// Packets for a lane that is closed fall to the bridge lane, which therefore waits until the lane is drained.
absl::Status LiveResize::CloseLanes(uint32_t first, uint32_t end, SteadyTime deadline) {
  for (uint32_t lane = end; lane-- > first;) {
    if (o_.lanes.Find(lane) == nullptr) {
      continue;
    }
    absl::Status s = SteadyTime::Now() >= deadline
                         ? absl::DeadlineExceededError("the time given ran out")
                         : o_.dataplane.Fenced({kBridgeLane}, [&] { return o_.lanes.Remove(lane); }, {});
    if (!s.ok()) {
      if (absl::Status undone = o_.lanes.Open(lane + 1, end, SteadyTime::InfiniteFuture()); !undone.ok()) {
        spdlog::error("opening lanes again: {}", std::string(undone.message()));
      }
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status LiveResize::WaitQuiet(uint32_t first, uint32_t end, SteadyTime deadline) {
  const auto received = [&](uint32_t from, uint32_t to) {
    uint64_t sum = 0;
    for (const Port& port : o_.ports) {
      sum += port.BridgedPackets(from, to);
    }
    for (uint32_t lane = from; lane < to; ++lane) {
      for (uint32_t port = 0; port < o_.ports.size(); ++port) {
        sum += o_.dataplane.stats().port(lane, port).rx_packets.Get();
      }
    }
    return sum;
  };
  const auto counts = [&] { return LaneCounts{.going = received(first, end), .staying = received(0, first)}; };
  QuietWait wait(o_.ports.FlowsFollowTransmit(), counts(), SteadyTime::Now());
  while (!wait.Over(counts(), SteadyTime::Now()) && SteadyTime::Now() < deadline) {
    NoteProgress();
    absl::SleepFor(absl::Milliseconds(2));
  }
  if (wait.still_receiving()) {
    spdlog::warn("queues {} to {} still receive: flows that the device does not bring elsewhere", first, end - 1);
  }
  return absl::OkStatus();
}

absl::Status LiveResize::SetChannels(uint32_t port, uint32_t pairs, SteadyTime deadline) {
  absl::Status s = o_.calls.Time("ethtool -L", [&] { return o_.ports[port].SetQueuePairs(pairs, deadline); });
  if (s.ok()) {
    RewriteRssTables();
  }
  return s;
}

// The device forgets its table whenever the driver tells it how many queues there are (PortSet::WriteRssTables). Flows
// shall stay on the queues they are on in the window, too.
void LiveResize::RewriteRssTables() {
  if (absl::Status s = o_.ports.WriteRssTables(spread_over_); !s.ok()) {
    spdlog::error("RSS: {}; the device spreads packets as it likes", std::string(s.message()));
  }
}

// Off: packets that the pair lanes received come over the bridge now; on: the other way round.
absl::Status LiveResize::SetXdp(bool on) {
  const std::vector<uint32_t> pairs = o_.lanes.Pairs();
  const std::vector<uint32_t> bridge = {kBridgeLane};
  const auto change = [&] {
    absl::Status switched = SwitchXdp(on);
    if (switched.ok() && on) {
      o_.calls.Time("wait until the bridge is empty", [&] { WaitForBridges(); });
    }
    return switched;
  };
  return on ? o_.dataplane.Fenced(pairs, change, bridge) : o_.dataplane.Fenced(bridge, change, pairs);
}

absl::Status LiveResize::SwitchXdp(bool on) {
  absl::Status s = SwitchXdpOfPorts(on);
  // The devices' queues were enabled again, also where it was undone. The successor of a dataplane that is gone is told
  // when it is configured.
  if (absl::Status told = o_.lanes.QuarantineSentFrames(); !told.ok() && !absl::IsUnavailable(told)) {
    spdlog::error("sent frames may be overwritten: {}", std::string(told.message()));
  }
  RewriteRssTables();
  return s;
}

absl::Status LiveResize::SwitchXdpOfPorts(bool on) {
  const auto switch_to = [this](bool value) {
    return [this, value](Port& port) {
      return o_.calls.Time(absl::StrCat("XDP ", value ? "on" : "off"),
                           [&] { return value ? port.ResumeXdp() : port.SuspendXdp(); });
    };
  };
  return o_.ports.ForAllOrNone(switch_to(on), switch_to(!on));
}

// With XDP on again nothing new enters the bridges, but for queues without a lane in a rollback. Packets that are still
// in the veth pairs reach the bridge lane within the next softirqs. Where the count does not come out (a veth ring
// overflowed, or a merged packet fell into other pieces than it came from) it stands still, which says the same.
void LiveResize::WaitForBridges() {
  constexpr absl::Duration kStill = absl::Milliseconds(10);  // many softirqs, also on an emulated guest
  constexpr absl::Duration kLook = absl::Microseconds(500);
  const SteadyTime bound = SteadyTime::Now() + absl::Milliseconds(100);
  int64_t last = FramesOnBridges(o_);
  SteadyTime since = SteadyTime::Now();
  while (!o_.dataplane.down() && last > on_bridges_before_ && SteadyTime::Now() - since < kStill &&
         SteadyTime::Now() < bound) {
    absl::SleepFor(kLook);
    if (const int64_t now = FramesOnBridges(o_); now != last) {
      last = now;
      since = SteadyTime::Now();
    }
  }
}

// Flows move one way only (control/kernel/rss_table.h): from lanes that go idle to those that stay in use, or from
// those to fresh ones.
absl::Status LiveResize::SetSpread(uint32_t from, uint32_t to) {
  const std::vector<uint32_t> old = from < to ? o_.lanes.Pairs(0, from) : o_.lanes.Pairs(to, from);
  const std::vector<uint32_t> fresh = from < to ? o_.lanes.Pairs(from, to) : o_.lanes.Pairs(0, to);
  const auto change = [&] {
    absl::Status s = o_.calls.Time("set RSS tables", [&] { return o_.ports.SpreadOver(from, to); });
    if (s.ok()) {
      spread_over_ = to;
      o_.calls.Time("poll the old queues", [&] { PollQueues(old); });
    }
    return s;
  };
  absl::Status s = o_.dataplane.Fenced(fresh, change, old);
  if (s.ok()) {
    CountMixedByHost(fresh);
  }
  return s;
}

// A flow that a fresh lane answers leaves by another queue than before, and the host moves it between its own queues.
// It may read a younger packet there before an older one, and both come by the same pair, so nothing here can tell.
// Packets that come until the host has read what it had are counted, for ports on which a fresh lane has answered.
void LiveResize::CountMixedByHost(const std::vector<uint32_t>& fresh) {
  constexpr absl::Duration kHostReads = absl::Milliseconds(250);
  if (!o_.ports.Any([](const Port& port) { return port.info().HostMayMixFlows(); })) {
    return;
  }
  const auto sum = [&](uint32_t port, StatsCounter LanePortStats::*counter) {
    return std::accumulate(fresh.begin(), fresh.end(), uint64_t{0}, [&](uint64_t packets, uint32_t lane) {
      return packets + (o_.dataplane.stats().port(lane, port).*counter).Get();
    });
  };
  std::vector<uint64_t> received, sent;
  for (uint32_t port = 0; port < o_.ports.size(); ++port) {
    received.push_back(sum(port, &LanePortStats::rx_packets));
    sent.push_back(sum(port, &LanePortStats::tx_packets));
  }
  NoteProgress();
  absl::SleepFor(kHostReads);
  for (uint32_t port = 0; port < o_.ports.size(); ++port) {
    const bool moved = o_.ports[port].info().HostMayMixFlows() && sum(port, &LanePortStats::tx_packets) > sent[port];
    mixed_by_host_ += moved ? sum(port, &LanePortStats::rx_packets) - received[port] : 0;
  }
}

// Brings the packets that the device had put into the queues of these lanes to their sockets.
void LiveResize::PollQueues(const std::vector<uint32_t>& lanes) {
  std::vector<int> sockets;
  for (const uint32_t lane : lanes) {
    for (const UniqueFd& socket : o_.lanes.Find(lane)->sockets.sockets) {
      sockets.push_back(socket.get());
    }
  }
  if (absl::Status s = ForcePolls(sockets); !s.ok()) {
    spdlog::warn("flows that move may overtake themselves: {}", std::string(s.message()));
  }
}

}  // namespace sluice
