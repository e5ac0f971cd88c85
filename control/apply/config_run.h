// Runs the steps of a configuration's plan (config_plan.h); when one fails, puts back what was done before it.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_RUN_H_
#define SLUICE_CONTROL_APPLY_CONFIG_RUN_H_

#include <vector>

#include "absl/status/status.h"
#include "control/apply/config_plan.h"
#include "control/config/config.h"

namespace sluice {

// What there is to change, and what the steps do. Each takes its part of `wanted`; the rest is not looked at.
class ConfigActions {
 public:
  virtual ~ConfigActions() = default;
  // As things are now, so with what sluicectl has changed since the start.
  virtual Config Running() const = 0;
  virtual bool dataplane_down() const = 0;
  // Whether Do() can be expected to work. Changes nothing.
  virtual absl::Status Check(ConfigStep step, const Config& wanted) = 0;
  // Makes it so; nothing to do when it is. One that fails has changed nothing, or has put back what it changed.
  virtual absl::Status Do(ConfigStep step, const Config& wanted) = 0;
};

struct ConfigOutcome {
  absl::Status error;     // why not done: the step, what the kernel said, and how things are now
  bool as_before = true;  // when not done: false when something could not be put back
};

ConfigOutcome RunConfigPlan(const std::vector<ConfigStep>& steps, const Config& before, const Config& wanted,
                            ConfigActions& actions);

// The steps in reverse order, towards `before`: the rules first, which are what locks people out. Goes on past
// errors, and returns the first.
absl::Status PutBack(const std::vector<ConfigStep>& steps, const Config& before, ConfigActions& actions);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_RUN_H_
