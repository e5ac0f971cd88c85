// Taking over from an agent that died: its dataplane, its ports, and a resize it may have been in the middle of.
#include <poll.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "control/dataplane/dataplane_process.h"
#include "control/resize/resize_repair.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Queues that closed sockets still hold are free after some 150 ms (lane_sockets.h).
constexpr absl::Duration kRepairBound = absl::Seconds(10);

FoundLanes LookAt(const LaneTable& lanes, uint32_t transmit_lanes) {
  FoundLanes found;
  found.transmit_lanes = transmit_lanes;
  for (const auto& [index, lane] : lanes.lanes()) {
    if (index == kBridgeLane) {
      found.bridge = lane.bound();
    } else {
      found.pair_lanes[index] = lane.bound();
    }
  }
  return found;
}

std::vector<uint32_t> PairsOf(const std::vector<AgentPort>& ports) {
  std::vector<uint32_t> pairs;
  pairs.reserve(ports.size());
  for (const AgentPort& port : ports) {
    pairs.push_back(port.queue_pairs());
  }
  return pairs;
}

}  // namespace

absl::StatusOr<std::optional<Greeting>> Instance::FindSurvivor() {
  // It tries to reconnect at least once a second (dataplane/process/agent_link.h), unless it is dying.
  constexpr absl::Duration kReconnectBound = absl::Seconds(20);
  const UniqueFd process = WatchProcess(static_cast<pid_t>(state_.dataplane_pid()));
  pollfd either[] = {{link_->listen_fd(), POLLIN, 0}, {process.get(), POLLIN, 0}};
  if (!process || poll(either, std::size(either), static_cast<int>(absl::ToInt64Milliseconds(kReconnectBound))) <= 0 ||
      (either[0].revents & POLLIN) == 0) {
    return std::optional<Greeting>();
  }
  absl::StatusOr<Greeting> greeting = link_->Accept(absl::Now() + kReconnectBound);
  if (absl::IsDeadlineExceeded(greeting.status())) {
    return std::optional<Greeting>();
  }
  if (!greeting.ok()) {
    return greeting.status();
  }
  if (!greeting->hello.configured()) {
    return std::optional<Greeting>();
  }
  return std::optional<Greeting>(*std::move(greeting));
}

void Instance::KeepModeOfLanes() {
  if (config_.dataplane.mode != ModeSetting::kAuto || lanes_.pair_lanes() == 0) {
    return;
  }
  if (!lanes_.zero_copy()) {
    copy_because_ = "the other lanes copy, as they did before the agent restarted";
  } else if (std::any_of(ports_.begin(), ports_.end(),
                         [](const AgentPort& port) { return port.SendsStrayZeroCopyHeaders(); })) {
    spdlog::warn(
        "the lanes an earlier agent left are in zero-copy mode, and the host may refuse what is sent so "
        "(sluicectl doctor: zero_copy); end agent and dataplane and start them anew");
  }
}

absl::Status Instance::AdoptSurvivor(Greeting greeting) {
  const dataplane::Configure& running = greeting.hello.configuration();
  const bool same_ports =
      running.ports_size() == static_cast<int>(ports_.size()) &&
      std::equal(ports_.begin(), ports_.end(), running.ports().begin(),
                 [](const AgentPort& a, const dataplane::PortSpec& b) { return a.config().name == b.name(); });
  if (!same_ports || running.function() != config_.function.type) {
    return absl::FailedPreconditionError(
        absl::StrCat("a dataplane is running function \"", running.function(),
                     "\" with other ports or another function than the config asks for; it goes on as it is. End it "
                     "(SIGTERM to pid ",
                     link_->pid(), ") and start again"));
  }
  absl::StatusOr<StatsView> stats = StatsView::Adopt(std::move(greeting.stats));
  if (!stats.ok()) {
    return stats.status();
  }
  stats_ = *std::move(stats);
  for (HeldLane& held : greeting.lanes) {
    if (absl::Status s = lanes_.Adopt(std::move(held)); !s.ok()) {
      return s;
    }
  }
  KeepModeOfLanes();
  // Their maps may be new: a port's program that could not be adopted was loaded again.
  if (const LaneSockets* bridge = lanes_.FindSockets(kBridgeLane); bridge != nullptr) {
    for (size_t port = 0; port < std::min(ports_.size(), bridge->sockets.size()); ++port) {
      if (absl::Status s = ports_[port].SetBridgeSocket(bridge->sockets[port].get()); !s.ok()) {
        return s;
      }
    }
  }
  transmit_lanes_ = greeting.hello.transmit_lanes();
  worker_cores_.assign(greeting.hello.cores().begin(), greeting.hello.cores().end());
  if (absl::Status s = ShareCredit(); !s.ok()) {
    return s;
  }
  if (absl::Status s = QuarantineSentFrames(); !s.ok()) {
    return s;
  }
  if (absl::Status s = AdoptOffload(); !s.ok()) {
    return s;
  }
  absl::StatusOr<bool> repaired = RepairLanes();
  if (!repaired.ok()) {
    return repaired.status();
  }
  const uint32_t open = lanes_.pair_lanes();
  active_pairs_ = open;
  if (!state_.has_resize() && state_.active_pairs() > 0 && state_.active_pairs() < open) {
    active_pairs_ = state_.active_pairs();
  }
  wanted_pairs_ = active_pairs_;
  spdlog::info("took over from an earlier agent: {} lanes, dataplane {} went on meanwhile", open, link_->pid());
  const bool xdp_was_off =
      std::any_of(ports_.begin(), ports_.end(), [](const AgentPort& p) { return p.xdp_was_off(); });
  return *repaired || xdp_was_off || state_.has_resize() ? PlaceAfterRepair() : absl::OkStatus();
}

// One lane for each queue pair of the devices, all bound, frames leaving by all of them, and a bridge lane. Whether
// there was anything to do.
absl::StatusOr<bool> Instance::RepairLanes() {
  const std::vector<uint32_t> have = PairsOf(ports_);
  // What the lowest count has no place for is closed first: the kernel keeps queues that have sockets.
  const LaneRepair first = PlanLaneRepair(LookAt(lanes_, transmit_lanes_), *std::min_element(have.begin(), have.end()));
  if (first.transmit_first.has_value()) {
    if (absl::Status s = ChangeTransmitLanes(*first.transmit_first); !s.ok()) {
      return s;
    }
  }
  for (const uint32_t lane : first.close) {
    spdlog::warn("lane {} does not fit the devices, or was not ready yet: closing it", lane);
    if (absl::Status s = RemoveLane(lane); !s.ok()) {
      return s;
    }
  }
  if (absl::Status s = MakePortsAgree(); !s.ok()) {
    return s;
  }
  const uint32_t pairs = ports_.front().queue_pairs();
  const LaneRepair rest = PlanLaneRepair(LookAt(lanes_, transmit_lanes_), pairs);
  for (const uint32_t lane : rest.open) {
    spdlog::warn("queue pair {} has no lane: opening it", lane);
    if (absl::Status s = OpenLanes(lane, lane + 1, absl::Now() + kRepairBound); !s.ok()) {
      return s;
    }
  }
  const bool transmit_differs = transmit_lanes_ != pairs;
  // In any case: flows may be spread over all lanes for a while (SpreadFlows) that nobody is left to end.
  if (absl::Status s = ChangeTransmitLanes(pairs); !s.ok()) {
    return s;
  }
  if (rest.remake_bridge) {
    absl::Status s = RemoveLane(kBridgeLane);
    if (s.ok()) {
      s = OpenBridgeLane();
    }
    if (!s.ok()) {
      return s;
    }
  }
  return !first.close.empty() || !rest.open.empty() || transmit_differs || rest.remake_bridge;
}

absl::Status Instance::MakePortsAgree() {
  absl::Status s;
  const std::vector<uint32_t> have = PairsOf(ports_);
  for (const uint32_t pairs : PairsToTry(have)) {
    s = absl::OkStatus();
    for (AgentPort& port : ports_) {
      if (s.ok() && port.queue_pairs() != pairs) {
        spdlog::warn("{} has {} queue pairs and another port has not: making it {}", port.netdev(), port.queue_pairs(),
                     pairs);
        s = SetPairsOf(port, pairs);
      }
    }
    if (s.ok()) {
      return s;
    }
    spdlog::warn("{}", std::string(s.message()));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("all ports need the same number of queue pairs and cannot be given it (ethtool -L): ", s.message()));
}

absl::Status Instance::SetPairsOf(AgentPort& port, uint32_t pairs) {
  absl::Status s = port.SuspendXdp();
  if (s.ok()) {
    s = port.SetQueuePairs(pairs, absl::Now() + kRepairBound);
    s.Update(port.ResumeXdp());
  }
  return s;
}

absl::Status Instance::WriteRssTables(uint32_t count) {
  for (AgentPort& port : ports_) {
    if (port.has_rss()) {
      if (absl::Status s = port.SpreadOver(count); !s.ok()) {
        return s;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::PlaceAfterRepair() {
  const bool of_cores = state_.resize().method() == LeverName(Lever::kCores);
  const bool of_spread = state_.resize().method() == LeverName(Lever::kSpread);
  if (of_spread && state_.active_pairs() > 0) {
    active_pairs_ = wanted_pairs_ = std::min(state_.active_pairs(), lanes_.pair_lanes());
  }
  if (absl::Status s = WriteRssTables(active_pairs_); !s.ok()) {
    return s;
  }
  // The dataplane has done a move between cores, or has not; that is the state it is in.
  return Place(of_cores ? static_cast<uint32_t>(worker_cores_.size()) : WorkersFor(CurrentState(), active_pairs_));
}

void Instance::BeginResize(const ResizePlan& plan, const ResizeCosts& before) {
  SavedResize& resize = *state_.mutable_resize();
  resize.set_method(LeverName(plan.lever));
  resize.set_from(plan.from);
  resize.set_to(plan.to);
  resize.set_began_unix_ns(absl::ToUnixNanos(absl::Now()));
  resize.set_bridged_before(before.bridged);
  resize.set_held_before(before.held);
  resize.set_reordered_before(before.reordered);
  resize.set_dropped_before(stats_->Balance().dropped);
  SaveState();
}

void Instance::EndResize() {
  state_.clear_resize();
  SaveState();
}

// The report of a resize that an agent before us began: what it came to, as status shows it.
void Instance::ReportInterrupted() {
  if (!state_.has_resize()) {
    return;
  }
  const SavedResize& was = state_.resize();
  FinishedResize finished;
  for (const Lever lever : {Lever::kCores, Lever::kSpread, Lever::kChannels}) {
    if (was.method() == LeverName(lever)) {
      finished.lever = lever;
    }
  }
  finished.from = was.from();
  finished.to = was.to();
  finished.outcome = OutcomeOfInterrupted(
      was.from(), was.to(),
      finished.lever == Lever::kCores ? static_cast<uint32_t>(worker_cores_.size()) : active_pairs_);
  // When it went off nobody knows any more; not before this.
  if (std::any_of(ports_.begin(), ports_.end(), [](const AgentPort& port) { return port.xdp_was_off(); })) {
    finished.outcome.blocked = std::max(absl::ZeroDuration(), absl::Now() - absl::FromUnixNanos(was.began_unix_ns()));
  }
  // What the kernel dropped at sockets that are closed went with the agent. A dataplane that died, too, has left
  // nothing to count from.
  const ResizeCosts now = CostsSoFar();
  const auto since = [](uint64_t count, uint64_t before) { return count - std::min(count, before); };
  finished.costs = {since(now.bridged, was.bridged_before()), since(now.held, was.held_before()),
                    since(now.reordered, was.reordered_before()),
                    since(stats_->Balance().dropped, was.dropped_before())};
  spdlog::warn("{} from {} to {}: {}", was.method(), was.from(), was.to(),
               std::string(finished.outcome.error.message()));
  Record(std::move(finished));
  state_.clear_resize();
}

}  // namespace sluice
