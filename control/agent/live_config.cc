#include "control/agent/live_config.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "control/config/config_diff.h"
#include "dataplane/base/steady_time.h"

namespace sluice {
Config LiveConfig::Running() const {
  Config config = agent_.RunningConfig();
  config.metrics = reporter_.config();
  return config;
}

absl::Status LiveConfig::Check(ConfigStep step, const Config& wanted) {
  switch (step) {
    case ConfigStep::kPlacement:
      return objects_.placement.CheckCores(wanted.dataplane.cores);
    case ConfigStep::kQueuePairs:
      return objects_.resizer
          .Resize({wanted.dataplane.FirstPairs(), {}, false}, /*dry_run=*/true, SteadyTime::InfiniteFuture())
          .status();
    case ConfigStep::kLists:
      return objects_.steering.unconfirmed().RefuseWhileWaiting();
    case ConfigStep::kFunction:
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
      objects_.ports.SetDownPolicies(wanted.ports);
      return absl::OkStatus();
    case ConfigStep::kPlacement:
      return objects_.resizer.SetPlacement({wanted.dataplane.workers, wanted.dataplane.cores},
                                           SteadyTime::Now() + Resizer::kBound);
    case ConfigStep::kQueuePairs:
      return SetQueuePairs(wanted.dataplane);
    case ConfigStep::kFunction:
      return agent_.ApplyFunctionSettings(wanted.function.settings);
    case ConfigStep::kLists:
      return objects_.steering.prepared() ? objects_.steering.PutPrepared() : objects_.steering.PutFormerBack();
    case ConfigStep::kRules:
      return Compare(Running(), wanted).rules.empty() ? absl::OkStatus() : objects_.steering.ReplaceRules(wanted.rules);
  }
  return absl::InternalError("a step of no known kind");
}

absl::Status LiveConfig::SetQueuePairs(const DataplaneConfig& wanted) {
  absl::Status s = wanted.queue_pairs.automatic() ? absl::OkStatus() : Resize(*wanted.queue_pairs.count);
  if (s.ok()) {
    objects_.autoscaler.SetWish(Autoscaler::Wish::Of(wanted));
  }
  return s;
}

absl::Status LiveConfig::Resize(uint32_t pairs) {
  const absl::StatusOr<ResizePlan> plan =
      objects_.resizer.Resize({pairs, {}, false}, /*dry_run=*/false, SteadyTime::Now() + Resizer::kBound);
  if (!plan.ok() || plan->lever == Lever::kNone) {
    return plan.status();
  }
  const ResizeOutcome& outcome = objects_.resizer.last_resize()->outcome;
  if (outcome.state == ResizeOutcome::State::kRollbackFailed) {
    return absl::Status(outcome.error.code(),
                        absl::StrCat(outcome.error.message(), "; see sluicectl status and the agent's log"));
  }
  return outcome.error;
}

}  // namespace sluice
