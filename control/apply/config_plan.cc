#include "control/apply/config_plan.h"

#include <algorithm>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

bool NeedsDataplane(ConfigStep step) {
  return step == ConfigStep::kDownPolicies || step == ConfigStep::kPlacement || step == ConfigStep::kQueuePairs ||
         step == ConfigStep::kFunction;
}

}  // namespace

const char* StepName(ConfigStep step) {
  switch (step) {
    case ConfigStep::kMetrics:
      return "[metrics] listen";
    case ConfigStep::kDownPolicies:
      return "on_dataplane_down";
    case ConfigStep::kPlacement:
      return "workers and cores";
    case ConfigStep::kQueuePairs:
      return "queue_pairs";
    case ConfigStep::kFunction:
      return "the function's settings";
    case ConfigStep::kLists:
      return "blocklist and allowlist";
    case ConfigStep::kRules:
      return "rules";
  }
  return "";
}

std::vector<ConfigStep> AllConfigSteps() {
  return {ConfigStep::kMetrics,  ConfigStep::kDownPolicies, ConfigStep::kPlacement, ConfigStep::kQueuePairs,
          ConfigStep::kFunction, ConfigStep::kLists,        ConfigStep::kRules};
}

absl::StatusOr<std::vector<ConfigStep>> PlanConfig(const ConfigDiff& diff, bool dataplane_down) {
  if (const std::vector<std::string> keys = diff.KeysThatNeedRestart(); !keys.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(absl::StrJoin(keys, ", "), keys.size() == 1 ? " needs" : " need",
                     " a restart (systemctl restart sluice-agent); nothing was changed"));
  }
  std::set<ConfigStep> wanted;
  for (const ConfigChange& change : diff.changes) {
    wanted.insert(*change.by.step());  // those without one have been refused above
  }
  if (diff.names_lists) {
    wanted.insert(ConfigStep::kLists);
  }
  if (!diff.rules.empty()) {
    wanted.insert(ConfigStep::kRules);
  }
  if (dataplane_down && std::any_of(wanted.begin(), wanted.end(), NeedsDataplane)) {
    return absl::FailedPreconditionError(
        "the dataplane is down, and only rules, lists and [metrics] can be changed without it; it is being restarted, "
        "try "
        "again in a moment. Nothing was changed");
  }
  return std::vector<ConfigStep>(wanted.begin(), wanted.end());
}

}  // namespace sluice
