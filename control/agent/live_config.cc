#include "control/agent/live_config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/config/config_diff.h"

namespace sluice {
namespace {

// As for a resize whose caller names no bound (cli_server.cc).
constexpr absl::Duration kStepBound = absl::Seconds(30);

}  // namespace

Config LiveConfig::Running() const {
  Config config = instance_.config();
  config.dataplane.queue_pairs = instance_.wanted_pairs();
  config.metrics = reporter_.config();
  config.rules = instance_.rules();
  return config;
}

absl::Status LiveConfig::Check(ConfigStep step, const Config& wanted) {
  switch (step) {
    case ConfigStep::kPlacement:
      return instance_.CheckCores(wanted.dataplane.cores);
    case ConfigStep::kQueuePairs:
      return instance_.Resize({wanted.dataplane.queue_pairs, {}, false}, /*dry_run=*/true, absl::InfiniteFuture())
          .status();
    case ConfigStep::kFunction:
      return CheckFunction(wanted.function);
    case ConfigStep::kMetrics:
    case ConfigStep::kDownPolicies:
    case ConfigStep::kRules:
      break;
  }
  return absl::OkStatus();
}

absl::Status LiveConfig::Do(ConfigStep step, const Config& wanted) {
  switch (step) {
    case ConfigStep::kMetrics:
      return reporter_.Listen(wanted.metrics);
    case ConfigStep::kDownPolicies:
      instance_.SetDownPolicies(wanted.ports);
      return absl::OkStatus();
    case ConfigStep::kPlacement:
      return instance_.SetPlacement(wanted.dataplane.workers, wanted.dataplane.cores, absl::Now() + kStepBound);
    case ConfigStep::kQueuePairs:
      return SetQueuePairs(wanted.dataplane.queue_pairs);
    case ConfigStep::kFunction:
      return CheckFunction(wanted.function);
    case ConfigStep::kRules:
      return Compare(Running(), wanted).rules.empty() ? absl::OkStatus() : instance_.ReplaceRules(wanted.rules);
  }
  return absl::InternalError("a step of no known kind");
}

// A function that runs has its settings from the start only: the agent does not send ApplySettings yet.
absl::Status LiveConfig::CheckFunction(const FunctionConfig& wanted) const {
  return wanted.settings == instance_.config().function.settings
             ? absl::OkStatus()
             : absl::UnimplementedError("they change by a restart of the agent only (systemctl restart sluice-agent)");
}

absl::Status LiveConfig::SetQueuePairs(uint32_t pairs) {
  const absl::StatusOr<ResizePlan> plan =
      instance_.Resize({pairs, {}, false}, /*dry_run=*/false, absl::Now() + kStepBound);
  if (!plan.ok() || plan->lever == Lever::kNone) {
    return plan.status();
  }
  const ResizeOutcome& outcome = instance_.last_resize()->outcome;
  if (outcome.state == ResizeOutcome::State::kRollbackFailed) {
    return absl::Status(outcome.error.code(),
                        absl::StrCat(outcome.error.message(), "; see sluicectl status and the agent's log"));
  }
  return outcome.error;
}

}  // namespace sluice
