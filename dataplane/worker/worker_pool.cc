#include "dataplane/worker/worker_pool.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace sluice {

WorkerPool::WorkerPool(Polling polling, NetworkFunction& function, StatsSegment& stats)
    : polling_(polling), function_(function), stats_(stats) {}

WorkerPool::~WorkerPool() {
  while (!placement_.empty()) {
    GiveUp(*placement_.begin()->first);
  }
}

std::vector<uint32_t> WorkerPool::cores() const {
  std::vector<uint32_t> cores;
  for (const auto& worker : workers_) {
    cores.push_back(worker->core());
  }
  return cores;
}

void WorkerPool::Take(Lane& lane, uint32_t worker) {
  stats_.control_beats.Add(1);
  Worker& taker = *workers_[worker];
  taker.Run([&] { taker.TakeLane(lane); });
  placement_[&lane] = worker;
}

void WorkerPool::GiveUp(Lane& lane) {
  stats_.control_beats.Add(1);
  Worker& giver = *workers_[worker_of(lane)];
  giver.Run([&] { giver.GiveUpLane(lane); });
  placement_.erase(&lane);
}

void WorkerPool::RunFor(Lane& lane, absl::FunctionRef<void()> order) {
  stats_.control_beats.Add(1);
  const auto placed = placement_.find(&lane);
  if (placed == placement_.end()) {
    order();
  } else {
    workers_[placed->second]->Run(order);
  }
}

absl::Status WorkerPool::Place(absl::Span<const uint32_t> cores, absl::Span<const std::pair<Lane*, uint32_t>> moves) {
  if (cores.size() > kMaxWorkers) {
    return absl::InvalidArgumentError(absl::StrCat(cores.size(), " workers; at most ", kMaxWorkers, " are possible"));
  }
  std::map<Lane*, uint32_t> wanted = placement_;
  for (const auto& [lane, worker] : moves) {
    wanted[lane] = worker;
  }
  for (const auto& [lane, worker] : wanted) {
    if (worker >= cores.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat("lane ", lane->index(), " on worker ", worker, " of ", cores.size()));
    }
  }
  if (absl::Status status = GrowAndPin(cores); !status.ok()) {
    return status;
  }
  // Nothing below can fail.
  for (const auto& [lane, worker] : wanted) {
    if (worker_of(*lane) != worker) {
      GiveUp(*lane);
      Take(*lane, worker);
    }
  }
  workers_.resize(cores.size());
  return absl::OkStatus();
}

absl::Status WorkerPool::GrowAndPin(absl::Span<const uint32_t> cores) {
  const std::vector<uint32_t> before = this->cores();
  auto undo = [&](const absl::Status& status) {
    workers_.resize(before.size());
    for (size_t w = 0; w < before.size(); ++w) {
      if (workers_[w]->core() != before[w]) {
        workers_[w]->Pin(before[w]).IgnoreError();
      }
    }
    return status;
  };

  for (size_t w = 0; w < cores.size(); ++w) {
    if (w < before.size()) {
      // Also where it was: somebody may have moved the thread.
      if (absl::Status pinned = workers_[w]->Pin(cores[w]); !pinned.ok()) {
        return undo(pinned);
      }
      continue;
    }
    if (w == wakers_.size()) {
      auto waker = std::make_unique<Waker>();
      if (!waker->ok()) {
        return undo(absl::ResourceExhaustedError("no eventfd for another worker"));
      }
      wakers_.push_back(std::move(waker));
    }
    absl::StatusOr<std::unique_ptr<Worker>> worker =
        Worker::Start(static_cast<uint32_t>(w), cores[w], polling_, function_, stats_.workers[w], *wakers_[w]);
    if (!worker.ok()) {
      return undo(worker.status());
    }
    workers_.push_back(*std::move(worker));
  }
  return absl::OkStatus();
}

}  // namespace sluice
