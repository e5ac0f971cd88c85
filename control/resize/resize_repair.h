// Plans the repair of a resize that a crash of the agent interrupted. Pure, any thread; lane_repair.h carries the plan
// out:
//
//   close the lanes that do not fit ─► ports agree (PortSet::MakePairsAgree) ─► open those that are missing
//
// The devices decide: there are to be as many lanes as they have channels. That is always the state before the resize
// or the one after it, since lanes never go before all of their queues, and never come after them. Ports that disagree
// (the agent died between two `ethtool -L`) are made equal first.
//
// The plan is empty where lanes and devices agree, so every takeover makes one. The saved state (SavedState.resize)
// only names the resize that was interrupted.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "control/resize/resize_run.h"

namespace sluice {

// A lane whose sockets are not all bound was being opened when the agent died. Nothing can bind them now without
// knowing how far it had come, so another is made in its place.
struct FoundLanes {
  std::map<uint32_t, bool> pair_lanes;  // lane -> whether it is bound
  std::optional<bool> bridge;           // nullopt: there is none
  uint32_t transmit_lanes = 0;          // 0: never set
};

struct LaneRepair {
  std::optional<uint32_t> transmit_first;  // before lanes close: how many of those that stay flows are to leave by
  std::vector<uint32_t> close;             // highest first
  std::vector<uint32_t> open;              // lowest first
  bool remake_bridge = false;
};

// For devices with `pairs` queue pairs each.
LaneRepair PlanLaneRepair(const FoundLanes& found, uint32_t pairs);

// Returns the report of a resize from `from` to `to` that was found to have come to `now`.
ResizeOutcome OutcomeOfInterrupted(uint32_t from, uint32_t to, uint32_t now);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_
