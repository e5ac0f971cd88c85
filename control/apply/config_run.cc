#include "control/apply/config_run.h"

#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::Status At(ConfigStep step, const absl::Status& s) {
  return absl::Status(s.code(), absl::StrCat(StepName(step), ": ", s.message()));
}

}  // namespace

ConfigOutcome RunConfigPlan(const std::vector<ConfigStep>& steps, const Config& before, const Config& wanted,
                            ConfigActions& actions) {
  for (const ConfigStep step : steps) {
    if (absl::Status s = actions.Check(step, wanted); !s.ok()) {
      return {absl::Status(s.code(), absl::StrCat(At(step, s).message(), "; nothing was changed")), true};
    }
  }
  std::vector<ConfigStep> done;
  for (const ConfigStep step : steps) {
    absl::Status s = actions.Do(step, wanted);
    if (s.ok()) {
      done.push_back(step);
      continue;
    }
    const absl::Status undone = PutBack(done, before, actions);
    const std::string now =
        undone.ok() ? "; everything is as before"
                    : absl::StrCat("; and putting back what was changed before it failed: ", undone.message(),
                                   "; the agent goes on trying");
    return {absl::Status(s.code(), absl::StrCat(At(step, s).message(), now)), undone.ok()};
  }
  return {};
}

absl::Status PutBack(const std::vector<ConfigStep>& steps, const Config& before, ConfigActions& actions) {
  absl::Status first;
  for (auto step = steps.rbegin(); step != steps.rend(); ++step) {
    if (absl::Status s = actions.Do(*step, before); !s.ok()) {
      first.Update(At(*step, s));
    }
  }
  return first;
}

}  // namespace sluice
