// The plan of `sluicectl config apply`: which steps lead from the configuration that runs to the one wanted, and in
// which order. Pure; config_run.h runs it.
//
// The order is the one in which a step that fails is least seen by packets: first what they do not notice (where
// Prometheus listens, what is to happen when the dataplane ends), then who handles them (workers, cores), then how
// many queue pairs there are, which is what a kernel refuses most often. The rules come last: they say what becomes of
// a packet, and no packet should have been dropped or passed by rules that are taken back a moment later.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_
#define SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_

#include <vector>

#include "absl/status/statusor.h"
#include "control/config/config_diff.h"

namespace sluice {

enum class ConfigStep {
  kMetrics,       // where Prometheus listens
  kDownPolicies,  // on_dataplane_down of every port
  kPlacement,     // workers and cores
  kQueuePairs,    // a resize
  kRules,         // atomic on each port
};

// As a user reads it: "[metrics] listen".
const char* StepName(ConfigStep step);

// Every step, in their order.
std::vector<ConfigStep> AllConfigSteps();

// Errors: FailedPrecondition with the keys that need a restart, or when a step needs the dataplane and it is down.
absl::StatusOr<std::vector<ConfigStep>> PlanConfig(const ConfigDiff& diff, bool dataplane_down);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_PLAN_H_
