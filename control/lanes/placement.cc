#include "control/lanes/placement.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/contract/stats_segment.h"
#include "spdlog/spdlog.h"

namespace sluice {

uint32_t Placement::WorkerOf(uint32_t lane) const {
  return lane == kBridgeLane ? 0 : lane % std::max(workers(), 1U);
}

absl::Status Placement::CheckCores(const std::vector<uint32_t>& cores) const {
  const absl::StatusOr<std::vector<uint32_t>> online = worker_cpus_();
  if (!online.ok()) {
    return online.status();
  }
  for (const uint32_t core : cores) {
    if (std::find(online->begin(), online->end(), core) == online->end()) {
      return absl::FailedPreconditionError(
          absl::StrCat("dataplane.cores: core ", core, " is not online, or the workers may not run on it (taskset, ",
                       "cpuset, AllowedCPUs); they may run on ", absl::StrJoin(*online, ",")));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<uint32_t>> Placement::FindUsableCores() const {
  absl::StatusOr<std::vector<uint32_t>> online = worker_cpus_();
  if (!online.ok() || wish_.cores.empty()) {
    return online;
  }
  std::vector<uint32_t> usable;
  for (const uint32_t core : wish_.cores) {
    if (std::find(online->begin(), online->end(), core) != online->end()) {
      usable.push_back(core);
    }
  }
  // Packets go on even when every configured core is offline.
  return usable.empty() ? *online : usable;
}

absl::Status Placement::FollowUsableCores() {
  absl::StatusOr<std::vector<uint32_t>> cores = FindUsableCores();
  if (!cores.ok()) {
    return cores.status();
  }
  SetUsableCores(*std::move(cores));
  return absl::OkStatus();
}

absl::Status Placement::StartWorkers(uint32_t workers) {
  workers = std::clamp<uint32_t>(workers, 1, static_cast<uint32_t>(usable_cores_.size()));
  worker_cores_.assign(usable_cores_.begin(), usable_cores_.begin() + workers);
  return dataplane_.PlaceLanes(worker_cores_, {});
}

absl::Status Placement::Place(uint32_t workers, const std::vector<uint32_t>& lanes) {
  const std::vector<uint32_t> before = worker_cores_;
  // A CPU may have gone since the plan was made.
  workers = std::min(workers, static_cast<uint32_t>(usable_cores_.size()));
  worker_cores_.assign(usable_cores_.begin(), usable_cores_.begin() + workers);
  std::vector<std::pair<uint32_t, uint32_t>> placements;
  placements.reserve(lanes.size());
  for (const uint32_t lane : lanes) {
    placements.emplace_back(lane, WorkerOf(lane));
  }
  if (absl::Status s = dataplane_.PlaceLanes(worker_cores_, placements); !s.ok()) {
    worker_cores_ = before;
    return s;
  }
  PlaceQueues(lanes);
  return absl::OkStatus();
}

bool Placement::WorkersAreInPlace() const {
  for (uint32_t w = 0; w < workers(); ++w) {
    // One whose thread cannot be seen has just ended, or is a liar's.
    const absl::StatusOr<std::vector<uint32_t>> cpus = dataplane_.CpusOfWorker(w);
    if (cpus.ok() && *cpus != std::vector<uint32_t>{worker_cores_[w]}) {
      return false;
    }
  }
  return true;
}

void Placement::PlaceQueues(const std::vector<uint32_t>& lanes) {
  // With one core there is nothing to choose.
  if (usable_cores_.size() <= 1) {
    return;
  }
  std::vector<uint32_t> cpus;
  for (const uint32_t lane : lanes) {
    if (lane != kBridgeLane) {
      cpus.push_back(worker_cores_[WorkerOf(lane)]);
    }
  }
  for (Port& port : ports_) {
    port.RememberPlacement(static_cast<uint32_t>(cpus.size()));
  }
  state_.Update([this](SavedState& state) { ports_.Save(state); });  // before it is changed: a successor puts it back
  queue_cpus_ = cpus;
  for (Port& port : ports_) {
    // A hint: packets flow without it.
    if (absl::Status s = port.PlaceQueues(cpus); !s.ok()) {
      spdlog::warn("{}", std::string(s.message()));
      queue_cpus_.clear();
    }
  }
}

}  // namespace sluice
