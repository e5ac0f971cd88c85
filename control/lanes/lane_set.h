// The lanes: memory and sockets as the agent holds them, and the steps by which they come and go. Lane i is queue pair
// i of every port; the bridge lane is the far ends of the ports' bridges.
//
//   Make (memory, sockets, rings in the dataplane's hands) ─► Bind (to the queues, and let in) ─► Remove
//   Open = Make + Bind, behind a fence where the bridge lane has had these lanes' packets until now
//
// The dataplane maps the rings before they are bound (lane_sockets.h), so Make comes first. While there is no dataplane
// lanes are made and bound all the same, for the one that takes over.
//
// Mode: lanes are all in zero-copy mode or all in copy mode, since frames move between them. With mode = "auto" the
// first lane that binds decides: when it finds zero-copy of no use, it and all later ones copy.
//
// Ownership: the agent keeps its own descriptors of everything the dataplane has, so that a dataplane that dies loses
// no lane. The kernel's drop counters vanish with a socket, so they are read when a lane goes, and totals never go
// backwards. One thread.
#ifndef SLUICE_CONTROL_LANES_LANE_SET_H_
#define SLUICE_CONTROL_LANES_LANE_SET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "control/config/config.h"
#include "control/dataplane/call_log.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_link.h"
#include "control/kernel/lane_sockets.h"
#include "control/lanes/kernel_drops.h"
#include "control/lanes/lane_kernel.h"
#include "control/lanes/placement.h"
#include "control/port/port_set.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {

struct LaneEntry {
  dataplane::LaneSpec spec;
  LaneSockets sockets;  // in the order of spec.sockets()
};

class LaneSet {
 public:
  // Borrows all but `mode`, which new lanes are to have.
  LaneSet(LaneKernel& kernel, PortSet& ports, DataplaneClient& dataplane, const Placement& placement, CallLog& calls,
          ModeSetting mode)
      : kernel_(kernel), ports_(ports), dataplane_(dataplane), placement_(placement), calls_(calls), mode_(mode) {}

  // --- looking up lanes

  const std::map<uint32_t, LaneEntry>& lanes() const { return lanes_; }
  // nullptr: no such lane.
  const LaneEntry* Find(uint32_t lane) const;
  // True if every socket of the lane is bound to its queue.
  bool IsBound(const LaneEntry& lane) const;
  bool AllAreBound() const;
  uint32_t pair_lanes() const;
  // The size of the lanes' frames; the smallest, since a packet may come in by any lane, and a lane that was taken over
  // keeps the size it was made with. nullopt: there is no lane.
  std::optional<uint32_t> frame_size_bytes() const;
  bool has_bridge_lane() const { return Find(kBridgeLane) != nullptr; }
  // The bridge lane included.
  std::vector<uint32_t> All() const;
  // Pair lanes in [first, end).
  std::vector<uint32_t> Pairs(uint32_t first = 0, uint32_t end = kMaxPairLanes) const;
  // True if pair lanes are bound in zero-copy mode.
  bool zero_copy() const;
  // Returns the drops since the start, at sockets that are gone, too.
  KernelDrops Drops(uint32_t lane, uint32_t port) const;

  // --- making and closing. Lanes [first, end): all of them, or on an error none.

  absl::Status Make(uint32_t first, uint32_t end);
  // Their queues must exist.
  absl::Status Bind(uint32_t first, uint32_t end, SteadyTime deadline);
  absl::Status Open(uint32_t first, uint32_t end, SteadyTime deadline);
  absl::Status OpenBridge();
  // Makes the dataplane drain the lane, then closes it. A lane that is not there is no error.
  absl::Status Remove(uint32_t lane);
  // Closes the agent's descriptors of all lanes.
  void Clear();

  // --- after an agent, or a dataplane, died

  // Takes in a lane that a surviving dataplane handed over. DataLoss for one that it cannot have.
  absl::Status Adopt(SurvivingLane held);
  // Makes later lanes in the mode of the adopted ones.
  void KeepModeOfAdopted();
  // Tells the ports the bridge lane's sockets, by which frames go to the kernel: before they are bound, and after a
  // takeover, when the ports' maps may be new, since a program that could not be adopted was loaded again.
  absl::Status SetBridgeSockets();
  // Hands pair lanes, or the bridge lane, to a dataplane that has none.
  absl::Status HandOverPairs();
  absl::Status HandOverBridge();

  // --- telling the dataplane about the ports

  absl::Status ShareCredit();
  // Tells it of drivers that give frames back too early (Port::frames_sent_unread).
  absl::Status QuarantineSentFrames();

 private:
  UmemLayout Layout() const;
  std::vector<QueueAddress> QueuesOf(uint32_t lane) const;
  absl::Status MakeOne(uint32_t lane);
  absl::Status BindOne(uint32_t lane, SteadyTime deadline);
  absl::Status BindSockets(uint32_t lane, SteadyTime deadline);
  absl::Status RemakeAsCopy(uint32_t lane, SteadyTime deadline);
  std::optional<std::string> WhyCopy(const absl::Status& bound, const LaneSockets& lane, bool others_have_zero_copy);
  absl::Status HandOver(uint32_t lane);
  absl::Status Steer(uint32_t first, uint32_t end);
  absl::Status ForAllOrNone(uint32_t first, uint32_t end, absl::FunctionRef<absl::Status(uint32_t)> step);
  void Forget(uint32_t lane);

  LaneKernel& kernel_;
  PortSet& ports_;
  DataplaneClient& dataplane_;
  const Placement& placement_;
  CallLog& calls_;
  const ModeSetting mode_;
  std::optional<std::string> copy_because_;  // mode = "auto" found zero-copy of no use
  std::map<uint32_t, LaneEntry> lanes_;
  std::map<std::pair<uint32_t, uint32_t>, KernelDrops> harvested_;  // (lane, port)
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_LANE_SET_H_
