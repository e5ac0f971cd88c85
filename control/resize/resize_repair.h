// What a resize that its agent did not live to end left behind, and how it is made whole: pure, like the plan.
//
//   close what does not fit ─► ports agree (PairsToTry) ─► open what is missing        (instance_takeover.cc)
//
// The devices decide. So many channels as they have, so many lanes there shall be: that is always the state
// before the resize or the one after it, since lanes never go before, and never come after, all of their queues.
// Ports that disagree (the agent died between two `ethtool -L`) become equal first.
//
// Nothing here asks or changes the kernel. Where nothing is wrong nothing is to be done, so it is looked at in
// every takeover; what was written down (SavedState.resize) only says which resize it was.
#ifndef SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_
#define SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "control/resize/resize_run.h"

namespace sluice {

// The numbers of queue pairs to make all ports agree on, best first: the lowest, for which every lane is there
// already, and the highest, for a kernel that refuses to take queues away. One when they agree.
std::vector<uint32_t> PairsToTry(const std::vector<uint32_t>& port_pairs);

// A lane whose sockets are not all bound was on its way when the agent died: nothing can bind them now without
// knowing how far it had come, so it is made anew.
struct FoundLanes {
  std::map<uint32_t, bool> pair_lanes;  // lane -> whether it is bound
  std::optional<bool> bridge;           // nullopt: there is none
  uint32_t transmit_lanes = 0;          // 0: never set
};

struct LaneRepair {
  std::optional<uint32_t> transmit_first;  // before lanes go, flows leave by so many that stay
  std::vector<uint32_t> close;             // highest first
  std::vector<uint32_t> open;              // lowest first
  bool remake_bridge = false;
};

// For devices with `pairs` queue pairs each.
LaneRepair PlanLaneRepair(const FoundLanes& found, uint32_t pairs);

// What is reported of a resize from `from` to `to` that was found to have come to `now`.
ResizeOutcome OutcomeOfInterrupted(uint32_t from, uint32_t to, uint32_t now);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RESIZE_RESIZE_REPAIR_H_
