// A Dataplane's lanes: taking them in, steering packets to them, letting them go.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dataplane/process/dataplane.h"
#include "dataplane/process/lane_opener.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Between two looks at a lane that is draining: a round takes microseconds, completions of a device
// some hundred.
constexpr absl::Duration kDrainLook = absl::Milliseconds(1);

}  // namespace

absl::Status Dataplane::AddLane(const dataplane::AddLane& request, std::vector<UniqueFd> fds) {
  const uint32_t index = request.lane().index();
  if (lanes_.contains(index)) {
    return absl::AlreadyExistsError(absl::StrCat("lane ", index, " is held already"));
  }
  if (request.worker() >= worker_pool_->size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("lane ", index, " on worker ", request.worker(), " of ", worker_pool_->size()));
  }
  const uint32_t port_count = static_cast<uint32_t>(configuration_.ports_size());
  absl::StatusOr<std::unique_ptr<Lane>> lane = OpenLane(kernel_, request.lane(), fds, port_count, *stats_);
  if (!lane.ok()) {
    return lane.status();
  }
  uint64_t held_frames = 0;
  for (const QueuePair& pair : (*lane)->pairs()) {
    held_frames += pair.held();
  }
  for (uint32_t port = 0; port < port_count; ++port) {
    (*lane)->QuarantineSentFrames(port, quarantined_frames_[port]);
  }
  if (request.lane().kind() == dataplane::LANE_KIND_PAIR && !credit_.empty()) {
    (*lane)->ShareCredit(credit_);
  }
  HeldLane held{request.lane(), std::move(fds), *std::move(lane)};
  if (absl::Status status = request.unsteered() ? absl::OkStatus() : Attach(held); !status.ok()) {
    return status;
  }
  crash_accounting_->Adopt(index, held_frames);
  HeldLane& kept = lanes_.emplace(index, std::move(held)).first->second;
  handoffs_->Connect(AllLanes(), transmit_lanes_);
  worker_pool_->Take(*kept.lane, request.worker());
  spdlog::info("lane {} is polled by worker {}, {} frames of a predecessor under way", index, request.worker(),
               held_frames);
  return absl::OkStatus();
}

absl::Status Dataplane::RemoveLane(const dataplane::RemoveLane& request) {
  absl::StatusOr<HeldLane*> held = Find(request.index());
  if (!held.ok()) {
    return held.status();
  }
  if (absl::Status status = Detach(**held); !status.ok()) {
    return status;
  }
  LetGo({request.index()}, absl::Milliseconds(request.drain_ms()));
  return absl::OkStatus();
}

absl::Status Dataplane::SetLaneSteering(const dataplane::SetLaneSteering& request) {
  absl::StatusOr<HeldLane*> held = Find(request.index());
  if (!held.ok()) {
    return held.status();
  }
  if (request.attached()) {
    return Attach(**held);
  }
  if (absl::Status status = Detach(**held); !status.ok()) {
    return status;
  }
  absl::Status waited = kernel_.WaitForRcuGracePeriod();
  if (!waited.ok()) {
    Attach(**held).IgnoreError();
  }
  return waited;
}

void Dataplane::Shutdown(absl::Duration drain) {
  std::vector<uint32_t> indices;
  for (auto& [index, held] : lanes_) {
    indices.push_back(index);
    // Closing the sockets takes them out of the maps, too, if this does not.
    if (absl::Status status = Detach(held); !status.ok()) {
      spdlog::warn("lane {}: {}", index, std::string(status.message()));
    }
  }
  LetGo(indices, drain);
  shut_down_ = true;
}

// Takes lanes that are in no XSKMAP any more out of service without losing what they hold.
void Dataplane::LetGo(const std::vector<uint32_t>& indices, absl::Duration drain) {
  const absl::Time bound = absl::Now() + drain;
  for (const uint32_t leaving : indices) {
    fence_->Forget(*lanes_.at(leaving).lane);
  }
  // No new frames: neither from the device, nor from lanes that stay.
  if (absl::Status s = kernel_.WaitForRcuGracePeriod(); !s.ok()) {
    spdlog::error("frames redirected to closing lanes may be lost: {}", std::string(s.message()));
  }
  for (auto& [index, staying] : lanes_) {
    if (std::find(indices.begin(), indices.end(), index) == indices.end()) {
      for (const uint32_t leaving : indices) {
        handoffs_->Close(*staying.lane, *lanes_.at(leaving).lane);
      }
    }
  }
  while (!AllQuiescent(indices) && absl::Now() < bound) {
    absl::SleepFor(kDrainLook);
  }
  // From the highest index, so that who hands over goes before who takes.
  for (auto index = indices.rbegin(); index != indices.rend(); ++index) {
    Lane& leaving = *lanes_.at(*index).lane;
    worker_pool_->GiveUp(leaving);
    for (auto& [other, staying] : lanes_) {
      handoffs_->Disconnect(leaving, *staying.lane);
      handoffs_->Disconnect(*staying.lane, leaving);
    }
    leaving.CloseAccounts();
    lanes_.erase(*index);
    spdlog::info("lane {} is closed", *index);
  }
}

bool Dataplane::AllQuiescent(const std::vector<uint32_t>& indices) {
  return std::all_of(indices.begin(), indices.end(), [this](uint32_t index) {
    Lane& lane = *lanes_.at(index).lane;
    bool quiescent = false;
    worker_pool_->RunFor(lane, [&] { quiescent = lane.Quiescent(); });
    return quiescent;
  });
}

absl::StatusOr<Dataplane::HeldLane*> Dataplane::Find(uint32_t index) {
  const auto held = lanes_.find(index);
  if (held == lanes_.end()) {
    return absl::NotFoundError(absl::StrCat("lane ", index, " is not held"));
  }
  return &held->second;
}

absl::StatusOr<std::vector<Lane*>> Dataplane::FindAll(const google::protobuf::RepeatedField<uint32_t>& indices) {
  std::vector<Lane*> lanes;
  for (const uint32_t index : indices) {
    absl::StatusOr<HeldLane*> held = Find(index);
    if (!held.ok()) {
      return held.status();
    }
    lanes.push_back((*held)->lane.get());
  }
  return lanes;
}

absl::Status Dataplane::Attach(HeldLane& held) {
  std::vector<int> entered;  // sockets whose entries are ours to take back
  for (int i = 0; i < held.spec.sockets_size(); ++i) {
    absl::StatusOr<bool> fresh = kernel_.EnterXskMap(held.fds[XskMapFdAt(i)].get(), held.spec.sockets(i).xskmap_key(),
                                                     held.fds[SocketFdAt(i)].get());
    if (!fresh.ok()) {
      for (const int done : entered) {
        kernel_.LeaveXskMap(held.fds[XskMapFdAt(done)].get(), held.spec.sockets(done).xskmap_key()).IgnoreError();
      }
      return fresh.status();
    }
    if (*fresh) {
      entered.push_back(i);
    }
  }
  held.attached = true;
  return absl::OkStatus();
}

absl::Status Dataplane::Detach(HeldLane& held) {
  absl::Status status;
  for (int i = 0; i < held.spec.sockets_size(); ++i) {
    status.Update(kernel_.LeaveXskMap(held.fds[XskMapFdAt(i)].get(), held.spec.sockets(i).xskmap_key()));
  }
  if (!status.ok() && held.attached) {
    Attach(held).IgnoreError();
    return status;
  }
  held.attached = false;
  return status;
}

std::vector<Lane*> Dataplane::AllLanes() const {
  std::vector<Lane*> lanes;
  for (const auto& [index, held] : lanes_) {
    lanes.push_back(held.lane.get());
  }
  return lanes;
}

}  // namespace sluice
