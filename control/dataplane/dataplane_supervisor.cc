#include "control/dataplane/dataplane_supervisor.h"

#include <algorithm>
#include <string>

#include "control/kernel/thread_state.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::Status DataplaneSupervisor::Start(SteadyTime now) {
  restart_at_.reset();
  if (launcher_ == nullptr) {
    return absl::OkStatus();
  }
  const absl::StatusOr<pid_t> pid = launcher_->Launch([this](pid_t child) {
    child_ = child;
    SavePid();  // so that the next agent finds it if this one dies before it connects
  });
  if (!pid.ok()) {
    child_.reset();
    SavePid();
    return pid.status();
  }
  overdue_at_ = now + kComesWithin;
  return absl::OkStatus();
}

void DataplaneSupervisor::Connected() {
  SavePid();
}

void DataplaneSupervisor::TakenIn() {
  client_.SetUp();
  overdue_at_ = SteadyTime::InfiniteFuture();
  SavePid();
}

void DataplaneSupervisor::Lost(SteadyTime now) {
  client_.SetDown();
  const bool killed = !client_.why_ended().empty();
  why_lost_ = killed ? client_.why_ended() : "it ended by itself";
  if (child_.has_value() && launcher_->HasEnded(*child_)) {
    child_.reset();
  }
  Schedule(now);
  state_.Update([killed](SavedState& state) {
    state.set_restarts(state.restarts() + 1);
    state.set_hangs(state.hangs() + (killed ? 1 : 0));
  });
  SavePid();
}

void DataplaneSupervisor::Refused(SteadyTime now) {
  client_.SetDown();
  Schedule(now);
}

void DataplaneSupervisor::Tick(SteadyTime now) {
  if (!client_.down()) {
    return;
  }
  Reap(now);
  if (child_.has_value() && now >= overdue_at_) {
    spdlog::error("the dataplane that was started (pid {}) does not come; it is killed", *child_);
    launcher_->Kill(*child_);
    overdue_at_ = SteadyTime::InfiniteFuture();
  }
  if (restart_at_.has_value() && now >= *restart_at_ && !child_.has_value()) {
    if (absl::Status s = Start(now); !s.ok()) {
      spdlog::error("{}", std::string(s.message()));
      Schedule(now);
    }
  }
}

// A child that ended before it connected is started again, too.
void DataplaneSupervisor::Reap(SteadyTime now) {
  if (child_.has_value() && launcher_->HasEnded(*child_)) {
    child_.reset();
    if (!restart_at_.has_value()) {
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

void DataplaneSupervisor::Schedule(SteadyTime now) {
  all_earned_at_ = std::max(all_earned_at_, now) + kRestartEvery;
  restart_at_ = std::max(now, all_earned_at_ - kAtOnce * kRestartEvery);
}

void DataplaneSupervisor::SavePid() {
  const pid_t pid = client_.pid() != 0 ? client_.pid() : child_.value_or(0);
  const std::optional<ThreadState> process = ReadThreadState(pid, pid);
  state_.Update([pid, &process](SavedState& state) {
    state.set_dataplane_pid(static_cast<uint32_t>(pid));
    state.set_dataplane_started(process.has_value() ? process->started : 0);
  });
}

}  // namespace sluice
