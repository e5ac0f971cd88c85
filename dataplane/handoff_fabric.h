// Which lanes hand frames to which: makes the rings, attaches and detaches their ends (handoff.h).
//
// Destinations are the pair lanes below `lane_count`; sources the bridge lane and the pair lanes from there on, or
// every lane. A ring once made stays until one of its lanes goes, since it may hold frames: 12 KB each, a lane's
// with all others at most once in each direction.
//
// Threads: the control thread. Every end is changed between two rounds of its lane's worker.
#ifndef SLUICE_DATAPLANE_HANDOFF_FABRIC_H_
#define SLUICE_DATAPLANE_HANDOFF_FABRIC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/crew.h"
#include "dataplane/handoff.h"
#include "dataplane/lane.h"

namespace sluice {

class HandoffFabric {
 public:
  explicit HandoffFabric(Crew& crew) : crew_(crew) {}

  enum class Sources { kLanesThatGo, kEveryLane };

  // Makes what is missing for these lanes and this count. 0: every pair lane sends by itself, and the
  // bridge lane's frames have no route.
  void Connect(const std::vector<Lane*>& lanes, uint32_t lane_count, Sources which = Sources::kLanesThatGo);
  // No more frames from `source` to `destination`; those under way are copied and sent, and the source
  // has them all back when this returns.
  void Disconnect(Lane& source, Lane& destination);

 private:
  using Key = std::pair<Lane*, Lane*>;  // source, destination

  Crew& crew_;
  std::map<Key, std::unique_ptr<HandoffRing>> rings_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_HANDOFF_FABRIC_H_
