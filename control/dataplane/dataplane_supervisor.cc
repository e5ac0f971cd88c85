#include "control/dataplane/dataplane_supervisor.h"

#include <algorithm>
#include <string>

#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// After this time a dataplane counts as stable, and its predecessors' deaths are forgotten.
constexpr absl::Duration kStable = absl::Seconds(10);

absl::Duration RestartDelay(uint32_t restarts_in_a_row) {
  constexpr uint32_t kAtOnce = 3;
  constexpr uint32_t kMostDoublings = 6;  // of 100 ms: 6.4 s
  if (restarts_in_a_row < kAtOnce) {
    return absl::ZeroDuration();
  }
  return absl::Milliseconds(100) * (1U << std::min(restarts_in_a_row - kAtOnce, kMostDoublings));
}

}  // namespace

absl::Status DataplaneSupervisor::Start() {
  restart_at_.reset();
  if (launcher_ == nullptr) {
    return absl::OkStatus();
  }
  absl::StatusOr<pid_t> pid = launcher_->Launch();
  if (!pid.ok()) {
    return pid.status();
  }
  child_ = *pid;
  SavePid();  // so that the next agent finds it if this one dies before it connects
  return absl::OkStatus();
}

void DataplaneSupervisor::Connected() {
  SavePid();
}

void DataplaneSupervisor::TakenIn(absl::Time now) {
  client_.SetUp();
  up_since_ = now;
  SavePid();
}

void DataplaneSupervisor::Lost(absl::Time now) {
  client_.SetDown();
  if (child_.has_value() && launcher_->HasEnded(*child_)) {
    child_.reset();
  }
  up_since_.reset();
  Schedule(now);
  state_.Update([this](SavedState& state) { state.set_restarts(state.restarts() + 1); });
  SavePid();
}

void DataplaneSupervisor::Refused(absl::Time now) {
  client_.SetDown();
  Schedule(now);
}

void DataplaneSupervisor::Tick(absl::Time now) {
  Reap(now);
  if (client_.down() && restart_at_.has_value() && now >= *restart_at_ && !child_.has_value()) {
    if (absl::Status s = Start(); !s.ok()) {
      spdlog::error("{}", std::string(s.message()));
      Schedule(now);
    }
  }
  if (!client_.down() && up_since_.has_value() && now - *up_since_ > kStable) {
    restarts_in_a_row_ = 0;
  }
}

// A child that ended before it connected is started again, too.
void DataplaneSupervisor::Reap(absl::Time now) {
  if (child_.has_value() && launcher_->HasEnded(*child_)) {
    child_.reset();
    if (client_.down() && !restart_at_.has_value()) {
      Schedule(now);
    }
  }
}

void DataplaneSupervisor::Stop(bool asked_to_end) {
  if (child_.has_value()) {
    launcher_->End(*child_, /*kill=*/!asked_to_end);
    child_.reset();
  }
}

void DataplaneSupervisor::Schedule(absl::Time now) {
  restart_at_ = now + RestartDelay(restarts_in_a_row_++);
}

void DataplaneSupervisor::SavePid() {
  const pid_t pid = client_.pid() != 0 ? client_.pid() : child_.value_or(0);
  state_.Update([pid](SavedState& state) { state.set_dataplane_pid(static_cast<uint32_t>(pid)); });
}

}  // namespace sluice
