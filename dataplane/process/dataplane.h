// The dataplane as the agent knows it: executes the agent's requests (contract/dataplane.proto explains them).
//
//   Execute ──► Configure             network function, stats segment, workers
//               AddLane               held_lanes, crash_accounting
//               RemoveLane            held_lanes
//               SetLaneSteering       held_lanes
//               SetTransmitLanes      held_lanes
//               PlaceLanes            worker_pool
//               QuarantineSentFrames  held_lanes
//               ShareCredit           held_lanes
//               OffloadFlows          flow_ager, held_lanes
//               ApplySettings         network function
//               QueryFunction         network function
//               RaiseFence            fence
//               LowerFence            fence
//               CountCrashDrops        crash_accounting
//               Shutdown              held_lanes
//
// A request that fails has changed nothing.
//
// Threads: the control thread, which reaches lanes only between rounds of their workers.
#ifndef SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_
#define SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/descriptor.h"
#include "dataplane/function/network_function.h"
#include "dataplane/process/crash_accounting.h"
#include "dataplane/process/fence.h"
#include "dataplane/process/flow_ager.h"
#include "dataplane/process/held_lanes.h"
#include "dataplane/process/kernel.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

class Dataplane {
 public:
  explicit Dataplane(Kernel& kernel) : kernel_(kernel) {}
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  // `fds` came with the request. Those of a request that fails are closed. `reply` gets what a request answers besides
  // its status: the page of a QueryFunction, the state_refused of a Configure.
  absl::Status Execute(const dataplane::Request& request, std::vector<UniqueFd> fds, dataplane::Reply* reply = nullptr);
  // True once a Shutdown has been executed.
  bool shut_down() const { return shut_down_; }
  // Drains all lanes for at most `drain` and closes them.
  void Shutdown(absl::Duration drain);

  // The agent is gone, perhaps in the middle of a change: lets held-back lanes receive again.
  void AgentLost();

  // Returns the time after which Tick is due again, with and without an agent; infinite: never. Tick beats
  // (stats_segment.h), and looks at offloaded flows when that is due.
  absl::Duration tick_every() const;
  void Tick(SteadyTime now);

  // A new connection's greeting: Hello, its descriptor (-1 before Configure), and a report for each held lane.
  dataplane::Hello hello() const;
  // The stats segment, and the function's state memory if it has any; none before Configure.
  const std::vector<UniqueFd>& memory_fds() const { return memory_fds_; }
  std::vector<HeldLanes::Report> held_lanes() const;

 private:
  absl::Status Configure(const dataplane::Configure& request, std::vector<UniqueFd> fds, dataplane::Reply& reply);
  absl::Status ApplySettings(const dataplane::ApplySettings& request);
  absl::Status QueryFunction(const dataplane::QueryFunction& request, dataplane::Reply& reply) const;
  absl::Status AddLane(const dataplane::AddLane& request, std::vector<UniqueFd> fds);
  absl::Status RemoveLane(const dataplane::RemoveLane& request);
  absl::Status SetLaneSteering(const dataplane::SetLaneSteering& request);
  absl::Status SetTransmitLanes(const dataplane::SetTransmitLanes& request);
  absl::Status PlaceLanes(const dataplane::PlaceLanes& request);
  absl::Status QuarantineSentFrames(const dataplane::QuarantineSentFrames& request);
  absl::Status ExpectSelfTest(const dataplane::ExpectSelfTest& request);
  absl::Status ShareCredit(const std::vector<UniqueFd>& fds);
  absl::Status OffloadFlows(const dataplane::OffloadFlows& request, const std::vector<UniqueFd>& fds);
  absl::StatusOr<std::unique_ptr<FlowTables>> MapFlowTables(const dataplane::OffloadFlows& request,
                                                            const std::vector<UniqueFd>& fds) const;
  absl::Status CountCrashDrops();
  void BookCrashDrops(uint32_t index, uint64_t frames);
  absl::Status RaiseFence(const dataplane::RaiseFence& request);
  absl::Status LowerFence(const dataplane::LowerFence& request);
  uint32_t port_count() const { return static_cast<uint32_t>(configuration_.ports_size()); }

  Kernel& kernel_;
  bool shut_down_ = false;

  // Set by Configure. Lanes go first, then workers, then what both use.
  dataplane::Configure configuration_;
  std::vector<UniqueFd> memory_fds_;
  Mapping stats_memory_;
  StatsSegment* stats_ = nullptr;
  Mapping state_memory_;  // the function's, if it has any
  const FunctionDescriptor* descriptor_ = nullptr;
  std::unique_ptr<NetworkFunction> function_;
  std::optional<CrashAccounting> crash_accounting_;
  std::optional<FlowAger> flows_;  // while flows are offloaded
  std::unique_ptr<WorkerPool> worker_pool_;
  std::unique_ptr<Fence> fence_;
  std::unique_ptr<HeldLanes> lanes_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_
