// Which lanes hand frames to which: makes the rings, attaches and detaches their ends (handoff.h).
//
// Destinations are the pair lanes below the count; sources the bridge lane and the pair lanes from there on, or
// every lane. Besides, every pair lane is always a source of the bridge lane, for frames that go to the kernel
// (lane/kernel_path.h). A ring once made stays until one of its lanes goes, since it may hold frames: 12 KB each, a
// lane's with all others at most once in each direction.
//
// Threads: the control thread. Every end is changed between two rounds of its lane's worker.
#ifndef SLUICE_DATAPLANE_PROCESS_HANDOFF_FABRIC_H_
#define SLUICE_DATAPLANE_PROCESS_HANDOFF_FABRIC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/lane/handoff.h"
#include "dataplane/lane/lane.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

// Which lanes frames leave by (contract/dataplane.proto: SetTransmitLanes).
struct TransmitLanes {
  uint32_t count = 0;       // 0: every pair lane sends by itself, and the bridge lane's frames have no way to the wire
  bool every_lane = false;  // the lanes below count are sources, too
  bool probe = false;       // Lane::TransmitByHandoff
};

class HandoffFabric {
 public:
  explicit HandoffFabric(WorkerPool& worker_pool) : worker_pool_(worker_pool) {}

  // Makes what is missing for these lanes.
  void Connect(const std::vector<Lane*>& lanes, const TransmitLanes& by);
  // No more frames from `source` to `destination`; those under way go on.
  void Close(Lane& source, Lane& destination);
  // The same; those under way are copied and sent, or dropped where there is no room, and the source has them all back
  // when this returns.
  void Disconnect(Lane& source, Lane& destination);

 private:
  using Key = std::pair<Lane*, Lane*>;  // source, destination

  void ConnectToKernel(const std::vector<Lane*>& lanes);

  WorkerPool& worker_pool_;
  std::map<Key, std::unique_ptr<HandoffRing>> rings_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_HANDOFF_FABRIC_H_
