// An Instance's conversation with its dataplane: start it, tell it everything, place its lanes.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A dataplane that answers at all does so in microseconds, or when its starved machine lets it: seconds were seen on
// an emulated guest. Draining a lane has its own bound below this.
constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kDataplaneStartBound = absl::Seconds(60);
// How long a lane that goes may wait for the kernel to give its last frames back.
constexpr uint32_t kDrainMs = 1000;
// How long lanes may be held back once the change is made: what the old ones have to send takes microseconds,
// on an emulated guest milliseconds, and more where the host gives it no time.
constexpr uint32_t kFenceMs = 300;

dataplane::PollMode WirePoll(PollSetting poll) {
  switch (poll) {
    case PollSetting::kBusy:
      return dataplane::POLL_MODE_BUSY;
    case PollSetting::kInterrupt:
      return dataplane::POLL_MODE_INTERRUPT;
    case PollSetting::kAdaptive:
      break;
  }
  return dataplane::POLL_MODE_ADAPTIVE;
}

}  // namespace

absl::Status Instance::StartDataplaneProcess() {
  restart_at_ = absl::InfiniteFuture();
  if (settings_.dataplane_binary.empty()) {
    return absl::OkStatus();
  }
  absl::StatusOr<pid_t> pid =
      StartDataplane(settings_.dataplane_binary, settings_.dataplane_socket, DataplaneUser(settings_.dataplane_user));
  if (!pid.ok()) {
    return pid.status();
  }
  child_ = *pid;
  SaveState();  // an agent that dies before this one connects leaves its successor where to find it
  return absl::OkStatus();
}

absl::Status Instance::StartFresh() {
  absl::StatusOr<StatsView> stats = StatsView::Make();
  if (!stats.ok()) {
    return stats.status();
  }
  stats_ = *std::move(stats);
  if (!link_->connected()) {
    if (absl::Status s = StartDataplaneProcess(); !s.ok()) {
      return s;
    }
    absl::StatusOr<Greeting> greeting = link_->Accept(absl::Now() + kDataplaneStartBound);
    if (greeting.ok() && greeting->hello.configured()) {
      spdlog::warn("dataplane {} came too late with lanes of an earlier agent; ending it", link_->pid());
      link_->Drop();
      greeting = link_->Accept(absl::Now() + kDataplaneStartBound);
    }
    if (!greeting.ok()) {
      return greeting.status();
    }
  }
  if (absl::Status s = ConfigureDataplane(WorkersFor(CurrentState(), active_pairs_)); !s.ok()) {
    return s;
  }
  return OpenAllLanes(active_pairs_);
}

// Tells it function, ports and cores; it has workers then, and no lane.
absl::Status Instance::ConfigureDataplane(uint32_t workers) {
  dataplane::Request request;
  dataplane::Configure* configure = request.mutable_configure();
  configure->set_function(config_.function.type);
  configure->set_poll(WirePoll(config_.dataplane.poll));
  for (const AgentPort& port : ports_) {
    dataplane::PortSpec* spec = configure->add_ports();
    spec->set_name(port.config().name);
    spec->set_mtu_bytes(port.link().mtu_bytes);
  }
  if (absl::Status s = Call(request, {stats_->fd(), rcu_->outer_fd(), rcu_->inner_fd()}); !s.ok()) {
    return s;
  }
  workers = std::clamp<uint32_t>(workers, 1, static_cast<uint32_t>(usable_cores_.size()));
  worker_cores_.assign(usable_cores_.begin(), usable_cores_.begin() + workers);
  dataplane::Request place;
  place.mutable_place_lanes()->mutable_cores()->Assign(worker_cores_.begin(), worker_cores_.end());
  absl::Status s = Call(place);
  if (s.ok()) {
    s = ShareCredit();
  }
  return s.ok() ? QuarantineSentFrames() : s;
}

absl::Status Instance::ShareCredit() {
  dataplane::Request request;
  request.mutable_share_credit();
  std::vector<int> fds;
  for (const AgentPort& port : ports_) {
    fds.push_back(port.maps().credit_fd());
  }
  return Call(request, fds);
}

absl::Status Instance::QuarantineSentFrames() {
  absl::Status s;
  for (uint32_t port = 0; s.ok() && port < ports_.size(); ++port) {
    if (const uint32_t frames = ports_[port].frames_sent_unread(); frames > 0) {
      dataplane::Request request;
      request.mutable_quarantine_sent_frames()->set_port(port);
      request.mutable_quarantine_sent_frames()->set_frames(frames);
      s = Call(request);
    }
  }
  return s;
}

absl::Status Instance::OpenAllLanes(uint32_t pairs) {
  absl::Status s = OpenLanes(0, pairs, absl::Now() + kCallTimeout);
  if (s.ok()) {
    // Before the bridge lane, whose frames leave by pair lanes.
    s = SendTransmitLanes(transmit_lanes_);
  }
  if (s.ok()) {
    s = OpenBridgeLane();
  }
  return s.ok() ? Place(static_cast<uint32_t>(worker_cores_.size())) : s;
}

absl::Status Instance::HandLanesToSuccessor() {
  // Whatever a resize that lost its dataplane had told that one.
  transmit_lanes_ = lanes_.pair_lanes();
  if (absl::Status s = ConfigureDataplane(static_cast<uint32_t>(worker_cores_.size())); !s.ok()) {
    return s;
  }
  absl::Status s = SendAllLanes();
  if (absl::IsFailedPrecondition(s)) {
    // A kernel before 6.4 lets nobody map a bound socket's rings: what waits in them is lost, and counted
    // by SettleTakeover. The lanes are made anew.
    spdlog::warn("{}; making the lanes anew", std::string(s.message()));
    lanes_.Clear();
    down_ = false;
    s = OpenAllLanes(ports_.front().queue_pairs());
  }
  if (!s.ok()) {
    return s;
  }
  dataplane::Request settle;
  settle.mutable_settle_takeover();
  return Call(settle);
}

absl::Status Instance::SendAllLanes() {
  for (const auto& [index, lane] : lanes_.lanes()) {
    absl::Status s;
    if (index == kBridgeLane) {
      s = SendTransmitLanes(transmit_lanes_);
    }
    if (s.ok()) {
      s = SendLane(index);
    }
    if (!s.ok()) {
      return s;
    }
  }
  return Place(static_cast<uint32_t>(worker_cores_.size()));
}

absl::Status Instance::Call(const dataplane::Request& request, const std::vector<int>& fds) {
  absl::Status s = link_->Call(request, fds, absl::Now() + kCallTimeout);
  if (absl::IsDeadlineExceeded(s) || absl::IsDataLoss(s)) {
    link_->Drop();
    s = absl::UnavailableError(absl::StrCat("the dataplane did not answer and was ended: ", s.message()));
  }
  if (absl::IsUnavailable(s)) {
    down_ = dataplane_gone_ = true;
  }
  return s;
}

absl::Status Instance::SendLane(uint32_t index) {
  const LaneEntry& lane = *lanes_.Find(index);
  dataplane::Request request;
  *request.mutable_add_lane()->mutable_lane() = lane.spec;
  request.mutable_add_lane()->set_worker(WorkerOf(index));
  request.mutable_add_lane()->set_unsteered(!lane.bound());
  std::vector<int> fds = {lane.sockets.umem.get()};
  for (const dataplane::LaneSocket& socket : lane.spec.sockets()) {
    const AgentPort& port = ports_[socket.port()];
    fds.push_back(lane.sockets.sockets[socket.port()].get());
    fds.push_back(lane.spec.kind() == dataplane::LANE_KIND_BRIDGE ? port.bridge().xsks_fd() : port.maps().xsks_fd());
  }
  return Call(request, fds);
}

absl::Status Instance::SteerLanes(uint32_t first, uint32_t end) {
  absl::Status s;
  for (uint32_t index = first; s.ok() && !down_ && index < end; ++index) {
    dataplane::Request request;
    request.mutable_set_lane_steering()->set_index(index);
    request.mutable_set_lane_steering()->set_attached(true);
    s = Call(request);
  }
  return s;
}

absl::Status Instance::RemoveLane(uint32_t index) {
  if (lanes_.Find(index) == nullptr) {
    return absl::OkStatus();
  }
  dataplane::Request request;
  request.mutable_remove_lane()->set_index(index);
  request.mutable_remove_lane()->set_drain_ms(kDrainMs);
  absl::Status s = down_ ? absl::OkStatus() : Call(request);
  // NotFound: the dataplane never took it in. Unavailable: it is gone, and its descriptors with it.
  if (s.ok() || absl::IsNotFound(s) || absl::IsUnavailable(s)) {
    lanes_.Remove(index);
    return absl::OkStatus();
  }
  return s;
}

absl::Status Instance::SendTransmitLanes(uint32_t count, bool every_lane) {
  dataplane::Request request;
  request.mutable_set_transmit_lanes()->set_lane_count(count);
  request.mutable_set_transmit_lanes()->set_every_lane(every_lane);
  request.mutable_set_transmit_lanes()->set_probe_flows(FlowsFollowTransmit(CurrentState()));
  absl::Status s = Call(request);
  if (s.ok()) {
    transmit_lanes_ = count;
    spread_flows_for_ = absl::InfiniteDuration();
  }
  return s;
}

absl::Status Instance::ChangeTransmitLanes(uint32_t count, bool every_lane) {
  return Fenced(AllLanes(), [&] { return SendTransmitLanes(count, every_lane); }, {});
}

absl::Status Instance::SpreadFlows() {
  // Flows with a packet in this time are moved; some seconds later the host has forgotten the others, and brings
  // them to any queue.
  constexpr absl::Duration kWhile = absl::Seconds(2);
  absl::Status s = ChangeTransmitLanes(transmit_lanes_, /*every_lane=*/true);
  if (s.ok()) {
    spread_flows_for_ = kWhile;
    last_tick_ = absl::Now();
  }
  return s;
}

absl::Status Instance::Fenced(const std::vector<uint32_t>& fresh, absl::FunctionRef<absl::Status()> change,
                              const std::vector<uint32_t>& old) {
  dataplane::Request raise;
  raise.mutable_raise_fence()->mutable_lanes()->Assign(fresh.begin(), fresh.end());
  // A dataplane that is gone has nothing to be put in order; what must be done to the kernel is done.
  if (absl::Status s = calls_.Time("hold lanes back", [&] { return Call(raise); });
      !s.ok() && !absl::IsUnavailable(s)) {
    return s;
  }
  absl::Status changed = change();
  dataplane::Request lower;
  lower.mutable_lower_fence()->set_bound_ms(kFenceMs);
  lower.mutable_lower_fence()->set_unproven(!changed.ok());
  lower.mutable_lower_fence()->mutable_old_lanes()->Assign(old.begin(), old.end());
  if (absl::Status s = calls_.Time("wait until the old way is empty", [&] { return Call(lower); }); !s.ok()) {
    spdlog::warn("lowering the fence: {}", std::string(s.message()));
  }
  return changed;
}

uint32_t Instance::WorkerOf(uint32_t lane) const {
  // The bridge lane is idle but for the window of a resize.
  return lane == kBridgeLane ? 0 : lane % static_cast<uint32_t>(std::max<size_t>(worker_cores_.size(), 1));
}

absl::Status Instance::Place(uint32_t workers) {
  if (absl::Status s = StopOffload(); !s.ok()) {
    return s;
  }
  const std::vector<uint32_t> before = worker_cores_;
  // A CPU may have gone since the plan was made.
  workers = std::min(workers, static_cast<uint32_t>(usable_cores_.size()));
  worker_cores_.assign(usable_cores_.begin(), usable_cores_.begin() + workers);
  dataplane::Request request;
  dataplane::PlaceLanes* place = request.mutable_place_lanes();
  place->mutable_cores()->Assign(worker_cores_.begin(), worker_cores_.end());
  for (const auto& [index, lane] : lanes_.lanes()) {
    dataplane::PlaceLanes::Placement* placement = place->add_placements();
    placement->set_lane(index);
    placement->set_worker(WorkerOf(index));
  }
  if (absl::Status s = Call(request); !s.ok()) {
    worker_cores_ = before;
    return s;
  }
  // With one core there is nothing to choose.
  if (usable_cores_.size() > 1) {
    std::vector<uint32_t> cpus;
    for (uint32_t lane = 0; lane < lanes_.pair_lanes(); ++lane) {
      cpus.push_back(worker_cores_[WorkerOf(lane)]);
    }
    for (AgentPort& port : ports_) {
      port.RememberPlacement(static_cast<uint32_t>(cpus.size()));
    }
    SaveState();  // before it is changed: whoever comes after us puts it back
    queue_cpus_ = cpus;
    for (AgentPort& port : ports_) {
      // A hint: packets flow without it.
      if (absl::Status s = port.PlaceQueues(cpus); !s.ok()) {
        spdlog::warn("{}", std::string(s.message()));
        queue_cpus_.clear();
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::ShutDownDataplane() {
  dataplane::Request request;
  request.mutable_shutdown()->set_drain_ms(kDrainMs);
  absl::Status s = Call(request);
  constexpr absl::Duration kEnding = absl::Seconds(1);  // of a process with nothing left to do
  link_->Drop(s.ok() ? kEnding : absl::ZeroDuration());
  return s;
}

}  // namespace sluice
