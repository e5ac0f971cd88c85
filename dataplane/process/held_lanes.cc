#include "dataplane/process/held_lanes.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/process/lane_opener.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Between two looks at a lane that drains: a round takes microseconds, completions of a device some hundred.
constexpr absl::Duration kDrainPause = absl::Milliseconds(1);

}  // namespace

HeldLanes::HeldLanes(Kernel& kernel, NetworkFunction& function, WorkerPool& worker_pool, Fence& fence,
                     uint32_t port_count, StatsSegment& stats)
    : kernel_(kernel),
      function_(function),
      worker_pool_(worker_pool),
      fence_(fence),
      port_count_(port_count),
      stats_(stats),
      handoffs_(worker_pool) {}

HeldLanes::~HeldLanes() {
  for (const auto& [index, held] : lanes_) {
    worker_pool_.GiveUp(*held.lane);
  }
}

absl::StatusOr<uint64_t> HeldLanes::Add(const dataplane::AddLane& request, std::vector<UniqueFd> fds) {
  const uint32_t index = request.lane().index();
  if (lanes_.contains(index)) {
    return absl::AlreadyExistsError(absl::StrCat("lane ", index, " is held already"));
  }
  if (request.worker() >= worker_pool_.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("lane ", index, " on worker ", request.worker(), " of ", worker_pool_.size()));
  }
  absl::StatusOr<std::unique_ptr<Lane>> lane = OpenLane(kernel_, request.lane(), fds, port_count_, stats_);
  if (!lane.ok()) {
    return lane.status();
  }
  uint64_t sent_before = 0;
  for (const QueuePair& pair : (*lane)->pairs()) {
    sent_before += pair.held();
  }
  for (uint32_t port = 0; port < port_count_; ++port) {
    (*lane)->QuarantineSentFrames(port, quarantined_frames_[port]);
  }
  if (request.lane().kind() == dataplane::LANE_KIND_PAIR && !credit_.empty()) {
    (*lane)->ShareCredit(credit_);
  }
  (*lane)->PrepareFor(function_);
  Held held{request.lane(), std::move(fds), *std::move(lane)};
  if (absl::Status status = request.unsteered() ? absl::OkStatus() : Attach(held); !status.ok()) {
    return status;
  }
  const Held& kept = lanes_.emplace(index, std::move(held)).first->second;
  handoffs_.Connect(all(), transmit_lanes_);
  worker_pool_.Take(*kept.lane, request.worker());
  spdlog::info("lane {}: polled by worker {}; {} sent frames of a predecessor are not completed", index,
               request.worker(), sent_before);
  return sent_before;
}

absl::Status HeldLanes::Remove(uint32_t index, absl::Duration drain) {
  absl::StatusOr<Held*> held = FindHeld(index);
  if (!held.ok()) {
    return held.status();
  }
  if (absl::Status status = Detach(**held); !status.ok()) {
    return status;
  }
  LetGo({index}, drain);
  return absl::OkStatus();
}

void HeldLanes::RemoveAll(absl::Duration drain) {
  std::vector<uint32_t> indices;
  for (auto& [index, held] : lanes_) {
    indices.push_back(index);
    // If this fails, closing the sockets deletes the entries.
    if (absl::Status status = Detach(held); !status.ok()) {
      spdlog::warn("lane {}: {}", index, std::string(status.message()));
    }
  }
  LetGo(indices, drain);
}

absl::Status HeldLanes::SetSteering(uint32_t index, bool attached) {
  absl::StatusOr<Held*> held = FindHeld(index);
  if (!held.ok()) {
    return held.status();
  }
  if (attached) {
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

// --- settings ---

absl::Status HeldLanes::TransmitBy(const TransmitLanes& by) {
  for (uint32_t index = 0; index < by.count; ++index) {
    if (!lanes_.contains(index)) {
      return absl::FailedPreconditionError(
          absl::StrCat(by.count, " lanes to transmit by, but lane ", index, " is not held"));
    }
  }
  transmit_lanes_ = by;
  handoffs_.Connect(all(), transmit_lanes_);
  return absl::OkStatus();
}

void HeldLanes::QuarantineSentFrames(uint32_t port, uint32_t frames) {
  quarantined_frames_[port] = frames;
  for (Lane* lane : all()) {
    worker_pool_.RunFor(*lane, [&] { lane->QuarantineSentFrames(port, frames); });
  }
}

void HeldLanes::ShareCredit(std::vector<QueueCredit> credit) {
  credit.swap(credit_);  // the former one stays mapped until no lane uses it
  ForEachPairLane([this](Lane& lane) { lane.ShareCredit(credit_); });
}

void HeldLanes::OffloadFlows(FlowTables* tables, uint32_t epoch) {
  ForEachPairLane([=](Lane& lane) { lane.OffloadFlows(tables, epoch); });
}

// Runs `order` for each between two rounds of its worker. The bridge lane's queues are none of the device's.
void HeldLanes::ForEachPairLane(absl::FunctionRef<void(Lane&)> order) {
  for (const auto& [index, held] : lanes_) {
    if (held.spec.kind() == dataplane::LANE_KIND_PAIR) {
      Lane& lane = *held.lane;
      worker_pool_.RunFor(lane, [&] { order(lane); });
    }
  }
}

// --- letting lanes go ---

// Takes lanes out of service that are in no XSKMAP any more, without losing frames that they hold.
void HeldLanes::LetGo(absl::Span<const uint32_t> leaving, absl::Duration drain) {
  const SteadyTime bound = SteadyTime::Now() + drain;
  for (const uint32_t index : leaving) {
    fence_.Forget(*lanes_.at(index).lane);
  }
  // No new frames: neither from the device, nor from lanes that stay.
  if (absl::Status waited = kernel_.WaitForRcuGracePeriod(); !waited.ok()) {
    spdlog::error("frames redirected to closing lanes may be lost: {}", std::string(waited.message()));
  }
  CloseWaysTo(leaving);
  while (!AllQuiescent(leaving) && SteadyTime::Now() < bound) {
    absl::SleepFor(kDrainPause);
  }
  // From the highest index down, so that a lane that hands frames over goes before the lane that takes them.
  for (auto index = leaving.rbegin(); index != leaving.rend(); ++index) {
    Lane& lane = *lanes_.at(*index).lane;
    worker_pool_.GiveUp(lane);
    for (const auto& [other, staying] : lanes_) {
      handoffs_.Disconnect(lane, *staying.lane);
      handoffs_.Disconnect(*staying.lane, lane);
    }
    lane.CloseAccounts();
    lanes_.erase(*index);
    spdlog::info("lane {} is closed", *index);
  }
}

void HeldLanes::CloseWaysTo(absl::Span<const uint32_t> leaving) {
  for (const auto& [index, staying] : lanes_) {
    if (std::find(leaving.begin(), leaving.end(), index) != leaving.end()) {
      continue;
    }
    for (const uint32_t other : leaving) {
      handoffs_.Close(*staying.lane, *lanes_.at(other).lane);
    }
  }
}

bool HeldLanes::AllQuiescent(absl::Span<const uint32_t> indices) {
  return std::all_of(indices.begin(), indices.end(), [this](uint32_t index) {
    const Lane& lane = *lanes_.at(index).lane;
    bool quiescent = false;
    worker_pool_.RunFor(*lanes_.at(index).lane, [&] { quiescent = lane.Quiescent(); });
    return quiescent;
  });
}

// --- XSKMAPs ---

absl::Status HeldLanes::Attach(Held& held) {
  std::vector<int> entered;  // sockets whose entries were not there before, so that a failure deletes them again
  for (int i = 0; i < held.spec.sockets_size(); ++i) {
    absl::StatusOr<bool> is_new = kernel_.EnterXskMap(held.fds[XskMapFdAt(i)].get(), held.spec.sockets(i).xskmap_key(),
                                                      held.fds[SocketFdAt(i)].get());
    if (!is_new.ok()) {
      for (const int done : entered) {
        kernel_.LeaveXskMap(held.fds[XskMapFdAt(done)].get(), held.spec.sockets(done).xskmap_key()).IgnoreError();
      }
      return is_new.status();
    }
    if (*is_new) {
      entered.push_back(i);
    }
  }
  held.attached = true;
  return absl::OkStatus();
}

absl::Status HeldLanes::Detach(Held& held) {
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

// --- finding lanes ---

absl::StatusOr<HeldLanes::Held*> HeldLanes::FindHeld(uint32_t index) {
  const auto held = lanes_.find(index);
  if (held == lanes_.end()) {
    return absl::NotFoundError(absl::StrCat("lane ", index, " is not held"));
  }
  return &held->second;
}

absl::StatusOr<Lane*> HeldLanes::Find(uint32_t index) {
  absl::StatusOr<Held*> held = FindHeld(index);
  if (!held.ok()) {
    return held.status();
  }
  return (*held)->lane.get();
}

absl::StatusOr<std::vector<Lane*>> HeldLanes::FindAll(absl::Span<const uint32_t> indices) {
  std::vector<Lane*> lanes;
  for (const uint32_t index : indices) {
    absl::StatusOr<Lane*> lane = Find(index);
    if (!lane.ok()) {
      return lane.status();
    }
    lanes.push_back(*lane);
  }
  return lanes;
}

std::vector<Lane*> HeldLanes::all() const {
  std::vector<Lane*> lanes;
  lanes.reserve(lanes_.size());
  for (const auto& [index, held] : lanes_) {
    lanes.push_back(held.lane.get());
  }
  return lanes;
}

std::vector<HeldLanes::Report> HeldLanes::Reports() const {
  std::vector<Report> reports;
  reports.reserve(lanes_.size());
  for (const auto& [index, held] : lanes_) {
    Report& report = reports.emplace_back();
    *report.message.mutable_lane() = held.spec;
    report.message.set_worker(worker_pool_.worker_of(*held.lane));
    for (const UniqueFd& fd : held.fds) {
      report.fds.push_back(fd.get());
    }
  }
  return reports;
}

}  // namespace sluice
