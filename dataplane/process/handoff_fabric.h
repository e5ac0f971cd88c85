// The hand-off rings between lanes: makes them, attaches and detaches their ends (lane/handoff.h).
//
//   destinations   the pair lanes below the count; every lane when the count is 0
//   sources        the bridge lane and the pair lanes from the count on; or every lane
//   to the kernel  every pair lane is always a source of the bridge lane (lane/kernel_path.h)
//
// A ring stays until one of its lanes goes, since it may hold frames. It takes 12 KB; two lanes have at most one in
// each direction.
//
// Ownership: it owns the rings. Before a lane is destroyed, Disconnect it from all others.
//
// Threads: the control thread; it changes every end between two rounds of its lane's worker.
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

// The lanes by which frames leave (contract/dataplane.proto: SetTransmitLanes).
struct TransmitLanes {
  uint32_t count = 0;       // 0: every pair lane sends by itself, and the bridge lane's frames have no way to the wire
  bool every_lane = false;  // the lanes below count are sources, too
  bool probe = false;       // LaneTransit::TransmitByHandoff
};

class HandoffFabric {
 public:
  explicit HandoffFabric(WorkerPool& worker_pool) : worker_pool_(worker_pool) {}

  // Makes the rings that these lanes need and do not have yet, and tells each lane by which lanes its frames leave.
  void Connect(const std::vector<Lane*>& lanes, const TransmitLanes& by);
  // Stops new frames from `source` to `destination`. Frames in the ring still arrive.
  void Close(Lane& source, Lane& destination);
  // Closes the way and removes the ring. Frames in it are sent, or dropped where there is no room; the source has them
  // all back when this returns.
  void Disconnect(Lane& source, Lane& destination);

 private:
  using Way = std::pair<Lane*, Lane*>;  // source, destination

  std::vector<Way> MakeRings(const std::vector<Lane*>& sources, const std::vector<Lane*>& destinations);

  void ConnectToKernel(const std::vector<Lane*>& lanes);

  WorkerPool& worker_pool_;
  std::map<Way, std::unique_ptr<HandoffRing>> rings_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_HANDOFF_FABRIC_H_
