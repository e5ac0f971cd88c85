// Runs the steps of a plan (config_plan.h). When one fails, puts back the steps before it. One thread: the agent's
// loop.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_RUN_H_
#define SLUICE_CONTROL_APPLY_CONFIG_RUN_H_

#include <vector>

#include "absl/status/status.h"
#include "control/apply/config_plan.h"
#include "control/config/config.h"

namespace sluice {

// The running agent, as the steps see it. A step uses its own part of `wanted` only.
class ConfigActions {
 public:
  virtual ~ConfigActions() = default;
  // Returns the configuration in force, with the changes that sluicectl has made since the start.
  virtual Config Running() const = 0;
  virtual bool dataplane_down() const = 0;
  // Returns an error when Do() cannot work. Changes nothing.
  virtual absl::Status Check(ConfigStep step, const Config& wanted) = 0;
  // Brings the step's part to `wanted`; does nothing when it is there. A step that fails has changed nothing, or has
  // put back its own changes.
  virtual absl::Status Do(ConfigStep step, const Config& wanted) = 0;
  // No apply is under way or waits: what was kept to go back is of no use.
  virtual void Settle() = 0;
};

struct ConfigOutcome {
  absl::Status error;     // names the step, the cause, and how things are now; OK: done
  bool as_before = true;  // false: it failed, and a step could not be put back
};

ConfigOutcome RunConfigPlan(const std::vector<ConfigStep>& steps, const Config& before, const Config& wanted,
                            ConfigActions& actions);

// Runs the steps in reverse order towards `before`: first the rules, because rules can lock people out. An error does
// not end it; the first one is returned.
absl::Status PutBack(const std::vector<ConfigStep>& steps, const Config& before, ConfigActions& actions);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_RUN_H_
