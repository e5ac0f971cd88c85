// Makes lanes and ports whole after an agent died, as resize_repair.h plans it: one lane for each queue pair of the
// devices, all bound, frames leaving by all of them, and a bridge lane.
//
// One thread. Blocks for seconds at most. An error leaves what was repaired so far.
#ifndef SLUICE_CONTROL_RESIZE_LANE_REPAIR_H_
#define SLUICE_CONTROL_RESIZE_LANE_REPAIR_H_

#include "absl/status/statusor.h"
#include "control/resize/resize_objects.h"

namespace sluice {

// Returns whether there was anything to repair. The ports agree on a number of pairs then, and there are as many pair
// lanes.
absl::StatusOr<bool> RepairLanes(const ResizeObjects& objects);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_LANE_REPAIR_H_
