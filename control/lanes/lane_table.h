// The lanes as the agent holds them: UMEMs and sockets, by index. The agent keeps its own descriptors of
// everything the dataplane has, so that a dataplane that dies loses nothing (DESIGN.md 3.1).
//
// Also the kernel's drop counters per socket (XDP_STATISTICS), which vanish with the socket: they are
// harvested when a lane goes, so totals never go backwards. One thread.
#ifndef SLUICE_CONTROL_LANES_LANE_TABLE_H_
#define SLUICE_CONTROL_LANES_LANE_TABLE_H_

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/dataplane/dataplane_link.h"
#include "control/kernel/lane_sockets.h"
#include "dataplane/contract/dataplane.pb.h"

namespace sluice {

// What the kernel dropped before the dataplane saw it.
struct KernelDrops {
  uint64_t rx_dropped = 0;    // no frame on the fill ring, or a frame too large
  uint64_t rx_ring_full = 0;  // the worker did not keep up
  uint64_t rx_invalid = 0;    // descriptors on the fill ring that the kernel refused
  uint64_t tx_invalid = 0;    // descriptors on the transmit ring that the kernel refused

  KernelDrops& operator+=(const KernelDrops& other);
  uint64_t Sum() const { return rx_dropped + rx_ring_full + rx_invalid + tx_invalid; }
};

struct LaneEntry {
  dataplane::LaneSpec spec;
  LaneSockets sockets;  // in the order of spec.sockets()

  // Every socket is bound to its queue.
  bool bound() const;
};

class LaneTable {
 public:
  // Takes in what MakeLaneSockets made. `index` must be free.
  void Add(uint32_t index, dataplane::LaneKind kind, LaneSockets sockets);
  // Takes in what a surviving dataplane handed over.
  absl::Status Adopt(HeldLane held);
  // Harvests its statistics and closes the agent's descriptors.
  void Remove(uint32_t index);
  void Clear();

  const std::map<uint32_t, LaneEntry>& lanes() const { return lanes_; }
  const LaneEntry* Find(uint32_t index) const;
  // To be bound; nullptr: no such lane.
  LaneSockets* FindSockets(uint32_t index);
  uint32_t pair_lanes() const;
  // Lanes of queue pairs are bound in zero-copy mode. They all are, or none is: a lane's ports share a UMEM.
  bool zero_copy() const;
  // Since the start, sockets that are gone included.
  KernelDrops Drops(uint32_t lane, uint32_t port) const;

 private:
  std::map<uint32_t, LaneEntry> lanes_;
  std::map<std::pair<uint32_t, uint32_t>, KernelDrops> harvested_;  // (lane, port)
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_LANE_TABLE_H_
