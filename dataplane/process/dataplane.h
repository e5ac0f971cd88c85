// The dataplane as the agent knows it: executes its requests (contract/dataplane.proto has their meaning).
//
//   Execute ──► Configure        function, stats segment, worker_pool
//               AddLane          lane_opener: descriptors -> Lane; XSKMAP; worker_pool
//               RemoveLane       XSKMAP, drain, worker_pool, close
//               SetLaneSteering  XSKMAP
//               SetTransmitLanes hand-off fabric
//               PlaceLanes       worker_pool
//               QuarantineSentFrames   lanes
//               ShareCredit       lanes
//               OffloadFlows      flow ager; lanes
//               ApplySettings    function
//               QueryFunction    function
//               RaiseFence       fence
//               LowerFence       fence
//               SettleTakeover   crash_accounting
//
// A request that fails has changed nothing. Threads: all of it belongs to the control thread, which
// reaches lanes only through the worker_pool, between rounds of their workers.
#ifndef SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_
#define SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "dataplane/base/mapping.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/descriptor.h"
#include "dataplane/function/network_function.h"
#include "dataplane/io/queue_credit.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/crash_accounting.h"
#include "dataplane/process/fence.h"
#include "dataplane/process/flow_ager.h"
#include "dataplane/process/handoff_fabric.h"
#include "dataplane/process/kernel.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

class Dataplane {
 public:
  explicit Dataplane(Kernel& kernel) : kernel_(kernel) {}
  Dataplane(const Dataplane&) = delete;
  Dataplane& operator=(const Dataplane&) = delete;

  // `fds` came with the request. Those of a request that fails are closed. A QueryFunction writes its answer to `page`,
  // which others leave alone.
  absl::Status Execute(const dataplane::Request& request, std::vector<UniqueFd> fds,
                       dataplane::FunctionPage* page = nullptr);
  // A Shutdown was executed.
  bool shut_down() const { return shut_down_; }
  // Lets every lane go, as RemoveLane does.
  void Shutdown(absl::Duration drain);

  // The agent is gone, perhaps in the middle of a change: lanes that it had held back go on.
  void AgentLost();

  // To be called about so often, whether or not an agent is connected; infinite: not at all.
  absl::Duration tick_every() const;
  void Tick();

  // What a newly connected agent is told, and the descriptors that go beside it.
  dataplane::Hello hello() const;
  const std::vector<UniqueFd>& configured_fds() const { return configured_fds_; }  // those of Configure
  struct HeldLane {
    dataplane::LaneSpec spec;
    std::vector<UniqueFd> fds;   // as in AddLane
    std::unique_ptr<Lane> lane;  // uses the descriptors: goes before them
    bool attached = false;       // in the XSKMAPs
  };
  const std::map<uint32_t, HeldLane>& lanes() const { return lanes_; }
  uint32_t worker_of(const HeldLane& held) const { return worker_pool_->worker_of(*held.lane); }

 private:
  absl::Status Configure(const dataplane::Configure& request, std::vector<UniqueFd> fds);
  absl::Status ApplySettings(const dataplane::ApplySettings& request);
  absl::Status QueryFunction(const dataplane::QueryFunction& request, dataplane::FunctionPage* page) const;
  absl::Status AddLane(const dataplane::AddLane& request, std::vector<UniqueFd> fds);
  absl::Status RemoveLane(const dataplane::RemoveLane& request);
  absl::Status SetLaneSteering(const dataplane::SetLaneSteering& request);
  absl::Status SetTransmitLanes(const dataplane::SetTransmitLanes& request);
  absl::Status PlaceLanes(const dataplane::PlaceLanes& request);
  absl::Status QuarantineSentFrames(const dataplane::QuarantineSentFrames& request);
  absl::Status ShareCredit(const std::vector<UniqueFd>& fds);
  absl::Status OffloadFlows(const dataplane::OffloadFlows& request, const std::vector<UniqueFd>& fds);
  absl::StatusOr<std::unique_ptr<FlowTables>> MapFlowTables(const dataplane::OffloadFlows& request,
                                                            const std::vector<UniqueFd>& fds) const;
  absl::Status SettleTakeover();
  absl::Status RaiseFence(const dataplane::RaiseFence& request);
  absl::Status LowerFence(const dataplane::LowerFence& request);

  absl::StatusOr<HeldLane*> Find(uint32_t index);
  absl::Status Attach(HeldLane& held);
  absl::Status Detach(HeldLane& held);
  absl::StatusOr<std::vector<Lane*>> FindAll(const google::protobuf::RepeatedField<uint32_t>& indices);
  std::vector<Lane*> AllLanes() const;
  void LetGo(const std::vector<uint32_t>& indices, absl::Duration drain);
  bool AllQuiescent(const std::vector<uint32_t>& indices);

  Kernel& kernel_;
  bool shut_down_ = false;

  // Set by Configure. In this order, so that workers end before what they use.
  dataplane::Configure configuration_;
  std::vector<UniqueFd> configured_fds_;
  Mapping stats_memory_;
  StatsSegment* stats_ = nullptr;
  Mapping state_memory_;  // the function's, if it has any
  const FunctionDescriptor* descriptor_ = nullptr;
  std::unique_ptr<NetworkFunction> function_;
  std::optional<CrashAccounting> crash_accounting_;
  std::optional<FlowAger> flows_;  // while flows are offloaded

  std::vector<QueueCredit> credit_;  // by port; none: XDP is told nothing

  std::map<uint32_t, HeldLane> lanes_;
  TransmitLanes transmit_lanes_;
  std::array<uint32_t, kMaxPorts> quarantined_frames_{};  // by port
  std::unique_ptr<WorkerPool> worker_pool_;
  std::unique_ptr<HandoffFabric> handoffs_;
  std::unique_ptr<Fence> fence_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_DATAPLANE_H_
