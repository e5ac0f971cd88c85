// What keeps an Instance going: a dataplane that died, CPUs and addresses that come and go.
#include <sys/wait.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "control/kernel/links.h"
#include "dataplane/base/cpu_list.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Between the first restarts nothing is waited for; one that keeps dying must not take the machine with it.
absl::Duration RestartDelay(uint32_t restarts_in_a_row) {
  constexpr uint32_t kAtOnce = 3;
  constexpr uint32_t kLongest = 6;  // doublings of 100 ms: 6.4 s
  if (restarts_in_a_row < kAtOnce) {
    return absl::ZeroDuration();
  }
  return absl::Milliseconds(100) * (1U << std::min(restarts_in_a_row - kAtOnce, kLongest));
}

}  // namespace

void Instance::DataplaneLost() {
  spdlog::error("the dataplane (pid {}) is gone", link_->pid());
  // One that was told to end (systemctl restart) hangs up first, then sends what it still has: for at most 1 s
  // (dataplane/process/main.cc).
  constexpr absl::Duration kFarewell = absl::Seconds(2);
  link_->Drop(kFarewell);
  if (child_ > 0 && waitpid(child_, nullptr, WNOHANG) == child_) {
    child_ = 0;
  }
  down_ = true;
  dataplane_gone_ = false;
  offloads_ = false;
  ++flow_epoch_;
  for (AgentPort& port : ports_) {
    absl::Status s = port.CarryNoFlows(flow_epoch_);
    s.Update(port.ApplyDownPolicy(lanes_.pair_lanes()));
    if (!s.ok()) {
      spdlog::error("policy while the dataplane is down: {}", std::string(s.message()));
    }
  }
  state_.set_restarts(state_.restarts() + 1);
  SaveState();
  restart_at_ = absl::Now() + RestartDelay(restarts_in_a_row_++);
  up_since_ = absl::InfiniteFuture();
}

absl::Status Instance::TakeInDataplane(absl::Time deadline) {
  absl::StatusOr<Greeting> greeting = link_->Accept(deadline);
  if (!greeting.ok()) {
    return greeting.status();
  }
  if (greeting->hello.configured()) {
    link_->Drop();
    return absl::FailedPreconditionError("a dataplane came with lanes of its own while ours were waiting; ended it");
  }
  if (absl::Status s = HandLanesToSuccessor(); !s.ok()) {
    link_->Drop();
    down_ = true;
    dataplane_gone_ = false;
    restart_at_ = absl::Now() + RestartDelay(restarts_in_a_row_++);
    return s;
  }
  down_ = false;
  up_since_ = absl::Now();
  for (AgentPort& port : ports_) {
    if (absl::Status s = port.Resteer(); !s.ok()) {
      return s;
    }
  }
  SaveState();
  spdlog::info("dataplane {} took over {} lanes", link_->pid(), lanes_.lanes().size());
  return absl::OkStatus();
}

void Instance::Tick() {
  if (child_ > 0 && waitpid(child_, nullptr, WNOHANG) == child_) {
    child_ = 0;
    if (down_ && restart_at_ == absl::InfiniteFuture()) {
      restart_at_ = absl::Now() + RestartDelay(restarts_in_a_row_++);
    }
  }
  if (down_ && absl::Now() >= restart_at_ && child_ == 0) {
    if (absl::Status s = StartDataplaneProcess(); !s.ok()) {
      spdlog::error("{}", std::string(s.message()));
      restart_at_ = absl::Now() + RestartDelay(restarts_in_a_row_++);
    }
  }
  constexpr absl::Duration kStable = absl::Seconds(10);
  if (!down_ && absl::Now() - up_since_ > kStable) {
    restarts_in_a_row_ = 0;
  }
  // A machine that stood still meanwhile moved no flow: no more than this counts of the time since the last tick.
  constexpr absl::Duration kLongestTick = absl::Seconds(1);
  const absl::Time now = absl::Now();
  spread_flows_for_ -= std::min(now - std::exchange(last_tick_, now), kLongestTick);
  if (!down_ && spread_flows_for_ <= absl::ZeroDuration()) {
    if (absl::Status s = ChangeTransmitLanes(transmit_lanes_); !s.ok()) {
      spdlog::warn("flows go on leaving by their own lanes: {}", std::string(s.message()));
    }
  }
  FollowAddresses();
  FollowCpus();
  FollowOffload();
}

void Instance::FollowAddresses() {
  absl::StatusOr<std::vector<sluice_address>> addresses = LocalAddresses();
  if (!addresses.ok()) {
    return;
  }
  if (std::all_of(ports_.begin(), ports_.end(), [&](const AgentPort& port) { return port.HasLocals(*addresses); })) {
    return;
  }
  const auto refresh = [&] {
    absl::Status s;
    for (AgentPort& port : ports_) {
      s.Update(port.RefreshLocals(*addresses));
    }
    return s;
  };
  if (absl::Status s = Withdrawing(refresh); !s.ok()) {
    spdlog::error("{}", std::string(s.message()));
  }
}

void Instance::FollowCpus() {
  absl::StatusOr<std::vector<uint32_t>> cores = UsableCores();
  if (!cores.ok() || *cores == usable_cores_ || down_) {
    return;
  }
  spdlog::info("usable cores changed from {} to {}", usable_cores_.size(), cores->size());
  const std::vector<uint32_t> before = std::exchange(usable_cores_, *cores);
  if (absl::Status s = Place(WorkersFor(CurrentState(), active_pairs_)); !s.ok()) {
    spdlog::error("placing lanes anew: {}", std::string(s.message()));
    usable_cores_ = before;
  }
}

absl::StatusOr<std::vector<uint32_t>> Instance::UsableCores() const {
  absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  if (!online.ok() || config_.dataplane.cores.empty()) {
    return online;
  }
  std::vector<uint32_t> usable;
  for (const uint32_t core : config_.dataplane.cores) {
    if (std::find(online->begin(), online->end(), core) != online->end()) {
      usable.push_back(core);
    }
  }
  // Packets go on even when every configured core is offline.
  return usable.empty() ? *online : usable;
}

}  // namespace sluice
