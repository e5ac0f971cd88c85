// The plan of `sluicectl config apply`: the steps that lead from the configuration that runs to the wanted one, in
// order. Pure, any thread; config_run.h runs it.
//
// The order makes packets notice a failing step as little as possible. First come the steps that packets do not notice
// (the address of the metrics, on_dataplane_down), then the cores that handle them, then the number of queue pairs,
// which the kernel refuses most often, then the function's settings. Lists and rules come last: they decide which
// packets are dropped or passed, and no packet should meet some that are taken back a moment later.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_
#define SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_

#include <vector>

#include "absl/status/statusor.h"
#include "control/config/config_diff.h"
#include "control/config/config_step.h"

namespace sluice {

// Returns the step as users read it: "[metrics] listen".
const char* StepName(ConfigStep step);

// Returns every step, in order.
std::vector<ConfigStep> AllConfigSteps();

// Errors: FailedPrecondition names the keys that need a restart, or says that a step needs the dataplane, which is
// down.
absl::StatusOr<std::vector<ConfigStep>> PlanConfig(const ConfigDiff& diff, bool dataplane_down);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_
