#include "control/apply/config_keeper.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control/config/config_text.h"
#include "dataplane/base/clock.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// The time between two tries to go back. Each may take as long as a resize.
constexpr absl::Duration kRetry = absl::Seconds(10);

std::string Seconds(absl::Duration duration) {
  return absl::StrCat(absl::ToInt64Seconds(absl::Ceil(duration, absl::Seconds(1))), " s");
}

}  // namespace

ConfigKeeper::ConfigKeeper(ConfigActions& live, StateDir& state_dir, StartConfig start, std::string config_path)
    : live_(live),
      state_dir_(state_dir),
      config_path_(std::move(config_path)),
      source_(std::move(start.source)),
      apply_(std::move(start.apply)) {
  if (!start.text.empty()) {
    Keep(start.text, source_.file);
  } else if (!apply_.has_value()) {
    if (const absl::StatusOr<SavedApply> left = state_dir_.ReadApply(); left.ok()) {
      Reject(*left);
    }
    Settle();
  }
}

SavedApply ConfigKeeper::MakeRecord(const Config& before, const std::string& text, const std::string& file) const {
  SavedApply apply;
  apply.set_file(file);
  apply.set_text(text);
  apply.set_previous(ToToml(before));
  apply.set_previous_file(source_.file);
  apply.set_previous_last_good(source_.last_good);
  apply.mutable_previous_problems()->Assign(source_.problems.begin(), source_.problems.end());
  apply.set_under_way(true);
  apply.set_boot_id(BootId());
  return apply;
}

absl::StatusOr<AppliedConfig> ConfigKeeper::Apply(const Config& wanted, const std::string& text,
                                                  const std::string& file, absl::Duration confirm) {
  if (absl::Status s = RefuseWhilePending(); !s.ok()) {
    return s;
  }
  const Config before = live_.Running();
  AppliedConfig applied{Compare(before, wanted), {}};
  const absl::StatusOr<std::vector<ConfigStep>> steps = PlanConfig(applied.diff, live_.dataplane_down());
  if (!steps.ok()) {
    return steps.status();
  }

  const bool final = confirm <= absl::ZeroDuration();
  const auto deadline_ns = [&] { return final ? 0 : BootClockNs() + absl::ToInt64Nanoseconds(confirm); };
  SavedApply apply = MakeRecord(before, text, file);
  apply.set_deadline_ns(deadline_ns());
  if (absl::Status s = state_dir_.KeepApply(apply); !s.ok()) {
    return absl::Status(s.code(), absl::StrCat(s.message(), "; nothing was changed"));
  }
  ConfigOutcome outcome = RunConfigPlan(*steps, before, wanted, live_);
  if (outcome.error.ok() && !final) {
    apply.set_under_way(false);
    apply.set_deadline_ns(deadline_ns());
    if (absl::Status s = state_dir_.KeepApply(apply); !s.ok()) {
      const absl::Status undone = PutBack(*steps, before, live_);
      outcome = {absl::Status(s.code(), absl::StrCat(s.message(), undone.ok() ? "; everything is as before" : "; ",
                                                     undone.message())),
                 undone.ok()};
      apply.set_under_way(true);
    }
  }
  if (!outcome.error.ok()) {
    if (outcome.as_before) {
      Settle();
    } else {
      apply_ = std::move(apply);  // Tick() tries again
      retry_at_ns_ = BootClockNs() + absl::ToInt64Nanoseconds(kRetry);
    }
    return outcome.error;
  }
  source_ = {file, false, {}};
  if (final) {
    Keep(text, file);
    spdlog::info("{} is in force", file);
  } else {
    apply_ = std::move(apply);
    spdlog::info("{} is in force; without `sluicectl config confirm` it is rolled back in {}", file, Seconds(confirm));
  }
  if (file != config_path_) {
    applied.warnings.push_back(
        absl::StrCat("the agent starts with ", config_path_, ", which is another file: copy it there to keep this"));
  }
  return applied;
}

absl::Status ConfigKeeper::Confirm() {
  if (!apply_.has_value()) {
    return absl::FailedPreconditionError("no apply waits to be confirmed");
  }
  if (apply_->under_way()) {
    return absl::FailedPreconditionError(
        absl::StrCat(apply_->file(), " is being rolled back already: ", last_failure_.message()));
  }
  const SavedApply apply = *std::exchange(apply_, std::nullopt);
  source_.problems.clear();
  Keep(apply.text(), apply.file());
  spdlog::info("{} is confirmed", apply.file());
  return absl::OkStatus();
}

absl::Status ConfigKeeper::Rollback() {
  if (!apply_.has_value()) {
    return absl::FailedPreconditionError("no apply waits to be confirmed, so there is nothing to roll back");
  }
  (void)GoBack("by sluicectl config rollback");
  return last_failure_.ok()
             ? absl::OkStatus()
             : absl::Status(last_failure_.code(),
                            absl::StrCat("it did not work yet, and is tried again: ", last_failure_.message()));
}

void ConfigKeeper::Tick() {
  if (!apply_.has_value() || BootClockNs() < retry_at_ns_) {
    return;
  }
  if (!apply_->under_way() && !TimeIsOver(*apply_)) {
    return;
  }
  const std::optional<std::string> told =
      GoBack(apply_->under_way() ? "since it could not be brought to its end" : "since nobody confirmed it in time");
  std::vector<std::string>& problems = source_.problems;
  if (told.has_value() && std::find(problems.begin(), problems.end(), *told) == problems.end()) {
    problems.push_back(*told);
  }
}

wire::ConfigStatus ConfigKeeper::Status() const {
  wire::ConfigStatus status;
  status.set_file(source_.file);
  status.set_state(source_.last_good ? "last good" : "file");
  status.mutable_problems()->Assign(source_.problems.begin(), source_.problems.end());
  if (apply_.has_value()) {
    status.mutable_pending()->set_file(apply_->file());
    status.mutable_pending()->set_seconds_left(
        static_cast<uint64_t>(absl::ToInt64Seconds(absl::Ceil(TimeLeft(), absl::Seconds(1)))));
    status.mutable_pending()->set_error(std::string(last_failure_.message()));
  }
  return status;
}

absl::Duration ConfigKeeper::TimeLeft() const {
  return apply_->under_way() || TimeIsOver(*apply_) ? absl::ZeroDuration()
                                                    : absl::Nanoseconds(apply_->deadline_ns() - BootClockNs());
}

absl::Status ConfigKeeper::RefuseWhilePending() const {
  if (!apply_.has_value()) {
    return absl::OkStatus();
  }
  if (apply_->under_way()) {
    return absl::FailedPreconditionError(
        absl::StrCat(apply_->file(), " is being rolled back, which did not work yet: ", last_failure_.message(),
                     "; `systemctl restart sluice-agent` gives it up. Nothing was changed"));
  }
  return absl::FailedPreconditionError(
      absl::StrCat(apply_->file(), " waits to be confirmed for another ", Seconds(TimeLeft()),
                   "; first `sluicectl config confirm` or `sluicectl config rollback`. Nothing was changed"));
}

std::optional<std::string> ConfigKeeper::GoBack(const std::string& why) {
  // Recorded first, so that the successor of an agent that dies here goes back, too.
  apply_->set_under_way(true);
  if (apply_->why_back().empty()) {
    apply_->set_why_back(why);
  }
  Warn(state_dir_.KeepApply(*apply_), "that an apply is rolled back");
  const absl::StatusOr<Config> previous = ParseConfig(apply_->previous(), apply_->previous_file());
  const absl::Status failure = previous.ok() ? PutBack(AllConfigSteps(), *previous, live_) : previous.status();
  if (!failure.ok()) {
    if (failure != last_failure_) {
      spdlog::error("rolling back {} did not work, and is tried again: {}", apply_->file(),
                    std::string(failure.message()));
    }
    last_failure_ = failure;
    retry_at_ns_ = BootClockNs() + absl::ToInt64Nanoseconds(kRetry);
    return std::nullopt;
  }
  std::string told = absl::StrCat(apply_->file(), " was rolled back, ", apply_->why_back());
  spdlog::warn("{}", told);
  source_ = {apply_->previous_file(),
             apply_->previous_last_good(),
             {apply_->previous_problems().begin(), apply_->previous_problems().end()}};
  const SavedApply apply = *std::exchange(apply_, std::nullopt);
  last_failure_ = absl::OkStatus();
  retry_at_ns_ = 0;
  Reject(apply);
  Settle();
  return told;
}

void ConfigKeeper::Reject(const SavedApply& apply) {
  if (apply.deadline_ns() > 0 && apply.file() == config_path_) {
    rejected_ = apply;
    rejected_->set_under_way(false);
    rejected_->set_rolled_back(true);
  }
}

void ConfigKeeper::Keep(const std::string& text, const std::string& file) {
  if (file == config_path_) {
    rejected_.reset();
  }
  // In this order, an agent that dies in between leaves no apply behind, and an older last good file, whose lists may
  // be newer.
  Warn(state_dir_.list_copies().Keep(), "the last good lists");
  Settle();
  Warn(state_dir_.KeepLastGood(text), "the last good configuration");
}

void ConfigKeeper::Settle() {
  Warn(rejected_.has_value() ? state_dir_.KeepApply(*rejected_) : state_dir_.RemoveApply(), "that no apply waits");
  Warn(state_dir_.list_copies().Drop(), "that no list waits");
  live_.Settle();  // last: an agent that finds an apply needs what was kept
}

void ConfigKeeper::Warn(const absl::Status& s, const char* what) const {
  if (!s.ok()) {
    spdlog::error("{} is not on the disk, for the next agent: {}", what, std::string(s.message()));
  }
}

}  // namespace sluice
