#include "control/resize/resize_repair.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice {

LaneRepair PlanLaneRepair(const FoundLanes& found, uint32_t pairs) {
  LaneRepair repair;
  const auto stays = [&](uint32_t lane) {
    const auto it = found.pair_lanes.find(lane);
    return lane < pairs && it != found.pair_lanes.end() && it->second;
  };
  for (auto it = found.pair_lanes.rbegin(); it != found.pair_lanes.rend(); ++it) {
    if (!stays(it->first)) {
      repair.close.push_back(it->first);
    }
  }
  uint32_t first_gap = 0;
  while (stays(first_gap)) {
    ++first_gap;
  }
  // With no lane that stays there is none to leave by.
  if (!repair.close.empty() && first_gap > 0 && found.transmit_lanes > first_gap) {
    repair.transmit_first = first_gap;
  }
  for (uint32_t lane = 0; lane < pairs; ++lane) {
    if (!stays(lane)) {
      repair.open.push_back(lane);
    }
  }
  repair.remake_bridge = !found.bridge.value_or(false);
  return repair;
}

ResizeOutcome OutcomeOfInterrupted(uint32_t from, uint32_t to, uint32_t now) {
  ResizeOutcome outcome;
  outcome.state = now == to     ? ResizeOutcome::State::kDone
                  : now == from ? ResizeOutcome::State::kRolledBack
                                : ResizeOutcome::State::kRollbackFailed;
  outcome.error = absl::AbortedError(absl::StrCat("the agent died in the middle; the next one found ", now,
                                                  " and made everything fit that, ",
                                                  now == to     ? "as was wanted"
                                                  : now == from ? "as it was before"
                                                                : "which is neither what was nor what was wanted"));
  return outcome;
}

}  // namespace sluice
