// An Instance's conversation with its dataplane: start it, tell it everything, place its lanes.
#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A dataplane that answers at all does so in microseconds; draining a lane has its own bound below this.
constexpr absl::Duration kCallTimeout = absl::Seconds(10);
// How long a lane that goes may wait for the kernel to give its last frames back.
constexpr uint32_t kDrainMs = 1000;

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
  absl::StatusOr<pid_t> pid = StartDataplane(settings_.dataplane_binary, settings_.dataplane_socket,
                                             DataplaneUser(settings_.dataplane_user));
  if (!pid.ok()) {
    return pid.status();
  }
  child_ = *pid;
  return absl::OkStatus();
}

absl::Status Instance::ConfigureDataplane(bool takeover) {
  dataplane::Request request;
  dataplane::Configure* configure = request.mutable_configure();
  configure->set_function(config_.function.type);
  configure->set_poll(WirePoll(config_.dataplane.poll));
  for (const AgentPort& port : ports_) {
    dataplane::PortSpec* spec = configure->add_ports();
    spec->set_name(port.config().name);
    spec->set_mtu_bytes(port.link().mtu_bytes);
  }
  if (absl::Status s = Call(request, {stats_->fd()}); !s.ok()) {
    return s;
  }
  const uint32_t workers = takeover ? std::min<uint32_t>(static_cast<uint32_t>(worker_cores_.size()),
                                                         static_cast<uint32_t>(usable_cores_.size()))
                                    : WorkersFor(CurrentState(), active_pairs_);
  worker_cores_.assign(usable_cores_.begin(), usable_cores_.begin() + std::max<uint32_t>(workers, 1));
  dataplane::Request place;
  place.mutable_place_lanes()->mutable_cores()->Assign(worker_cores_.begin(), worker_cores_.end());
  if (absl::Status s = Call(place); !s.ok()) {
    return s;
  }
  for (const auto& [index, lane] : lanes_.lanes()) {
    if (absl::Status s = SendLane(index); !s.ok()) {
      return s;
    }
  }
  if (takeover) {
    dataplane::Request settle;
    settle.mutable_settle_takeover();
    if (absl::Status s = Call(settle); !s.ok()) {
      return s;
    }
  }
  if (absl::Status s = SendTransmitLanes(transmit_lanes_); !s.ok()) {
    return s;
  }
  return Place(static_cast<uint32_t>(worker_cores_.size()));
}

absl::Status Instance::Call(const dataplane::Request& request, std::vector<int> fds) {
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
  std::vector<int> fds = {lane.sockets.umem.get()};
  for (const dataplane::LaneSocket& socket : lane.spec.sockets()) {
    const AgentPort& port = ports_[socket.port()];
    fds.push_back(lane.sockets.sockets[socket.port()].get());
    fds.push_back(lane.spec.kind() == dataplane::LANE_KIND_BRIDGE ? port.bridge().xsks_fd() : port.maps().xsks_fd());
  }
  return Call(request, std::move(fds));
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

absl::Status Instance::SendTransmitLanes(uint32_t count) {
  dataplane::Request request;
  request.mutable_set_transmit_lanes()->set_lane_count(count);
  absl::Status s = Call(request);
  if (s.ok()) {
    transmit_lanes_ = count;
  }
  return s;
}

uint32_t Instance::WorkerOf(uint32_t lane) const {
  // The bridge lane is idle but for the window of a resize.
  return lane == kBridgeLane ? 0 : lane % static_cast<uint32_t>(std::max<size_t>(worker_cores_.size(), 1));
}

absl::Status Instance::Place(uint32_t workers) {
  const std::vector<uint32_t> before = worker_cores_;
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
      // A hint: packets flow without it.
      if (absl::Status s = port.PlaceQueues(cpus); !s.ok()) {
        spdlog::warn("{}", std::string(s.message()));
      }
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::ShutDownDataplane() {
  dataplane::Request request;
  request.mutable_shutdown()->set_drain_ms(kDrainMs);
  absl::Status s = Call(request);
  link_->Drop();
  return s;
}

}  // namespace sluice
