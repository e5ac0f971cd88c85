// The lanes that the dataplane holds: takes them in, steers packets to them, lets them go, and applies settings that
// all lanes have in common.
//
//   Add ──► opened, settings ──► in the XSKMAPs ──► hand-off rings ──► polled
//   Remove ──► out of the XSKMAPs ──► drained ──► not polled ──► hand-off rings end ──► accounts closed ──► unmapped
//
// Lanes that come later get the settings, too: TransmitBy, QuarantineSentFrames, ShareCredit. OffloadFlows is for lanes
// that are held now.
//
// Ownership: it owns the lanes, their descriptors, the hand-off rings between them and the memory of the ports' credit.
// The network function, workers and fence are the caller's, and outlive it.
//
// Threads: the control thread; it reaches lanes between rounds of their workers.
#ifndef SLUICE_DATAPLANE_PROCESS_HELD_LANES_H_
#define SLUICE_DATAPLANE_PROCESS_HELD_LANES_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/network_function.h"
#include "dataplane/io/queue_credit.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/fence.h"
#include "dataplane/process/handoff_fabric.h"
#include "dataplane/process/kernel.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

class HeldLanes {
 public:
  HeldLanes(Kernel& kernel, NetworkFunction& function, WorkerPool& worker_pool, Fence& fence, uint32_t port_count,
            StatsSegment& stats);
  // Stops polling all lanes and unmaps them, without draining: a successor may go on with their rings.
  ~HeldLanes();
  HeldLanes(const HeldLanes&) = delete;
  HeldLanes& operator=(const HeldLanes&) = delete;

  // Takes the lane in, with descriptors as in the contract. Returns how many frames a predecessor left on its transmit
  // rings. Errors: AlreadyExists; FailedPrecondition when there is no such worker; those of OpenLane; Internal when an
  // XSKMAP takes no entry. On an error nothing has changed.
  absl::StatusOr<uint64_t> Add(const dataplane::AddLane& request, std::vector<UniqueFd> fds);
  // Drains the lane for at most `drain` and closes it. Errors: NotFound; Internal when an XSKMAP entry cannot be
  // deleted: then the lane stays.
  absl::Status Remove(uint32_t index, absl::Duration drain);
  // The same for all lanes, in any case.
  void RemoveAll(absl::Duration drain);
  // Enters the lane's sockets in the XSKMAPs, or takes them out and waits until no more packets come that way.
  absl::Status SetSteering(uint32_t index, bool attached);

  // Makes frames leave by these lanes. Error: FailedPrecondition when one of them is not held.
  absl::Status TransmitBy(const TransmitLanes& by);
  uint32_t transmit_lanes() const { return transmit_lanes_.count; }
  void QuarantineSentFrames(uint32_t port, uint32_t frames);
  // Publishes from now on in `credit`, by port, how many packets pair lanes can take.
  void ShareCredit(std::vector<QueueCredit> credit);
  // Offloads flows of pair lanes in this epoch; nullptr: no more. Returns when no lane uses former tables any more.
  void OffloadFlows(FlowTables* tables, uint32_t epoch);

  // Errors: NotFound.
  absl::StatusOr<Lane*> Find(uint32_t index);
  absl::StatusOr<std::vector<Lane*>> FindAll(absl::Span<const uint32_t> indices);
  std::vector<Lane*> all() const;
  uint32_t count() const { return static_cast<uint32_t>(lanes_.size()); }

  // A lane as the agent is told of it, and its descriptors, which stay ours.
  struct Report {
    dataplane::HeldLane message;
    std::vector<int> fds;
  };
  std::vector<Report> Reports() const;

 private:
  struct Held {
    dataplane::LaneSpec spec;
    std::vector<UniqueFd> fds;   // as in AddLane
    std::unique_ptr<Lane> lane;  // uses the descriptors, so it is destroyed before them
    bool attached = false;       // in the XSKMAPs
  };

  absl::StatusOr<Held*> FindHeld(uint32_t index);
  absl::Status Attach(Held& held);
  absl::Status Detach(Held& held);
  void ForEachPairLane(absl::FunctionRef<void(Lane&)> order);
  void LetGo(absl::Span<const uint32_t> leaving, absl::Duration drain);
  void CloseWaysTo(absl::Span<const uint32_t> leaving);
  bool AllQuiescent(absl::Span<const uint32_t> indices);

  Kernel& kernel_;
  NetworkFunction& function_;
  WorkerPool& worker_pool_;
  Fence& fence_;
  const uint32_t port_count_;
  StatsSegment& stats_;

  TransmitLanes transmit_lanes_;
  std::array<uint32_t, kMaxPorts> quarantined_frames_{};  // by port
  std::vector<QueueCredit> credit_;                       // by port; none: XDP is told nothing
  HandoffFabric handoffs_;
  std::map<uint32_t, Held> lanes_;  // by index; last, since lanes use what is above
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_HELD_LANES_H_
