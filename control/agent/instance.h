// The running network function as the agent sees it: ports, lanes, dataplane, and who is placed where.
//
//   Start() ─► ports up (inactive) ─► lanes bound ─► dataplane configured ─► ports activated
//   Resize()  runs plans (resize_plan.h) over it; DataplaneLost() restarts the dataplane on the same
//   sockets; Stop() leaves the kernel as it was found. Forgetting the object leaves traffic running.
//
// One thread: the agent's loop. Blocking calls are bounded (kCallTimeout and the bounds of the plans), but for a
// blocklist, which takes as long as it has prefixes.
#ifndef SLUICE_CONTROL_AGENT_INSTANCE_H_
#define SLUICE_CONTROL_AGENT_INSTANCE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/config/config.h"
#include "control/dataplane/dataplane_link.h"
#include "control/dataplane/dataplane_process.h"
#include "control/dataplane/stats_view.h"
#include "control/lanes/lane_table.h"
#include "control/port/port.h"
#include "control/resize/call_log.h"
#include "control/resize/resize_plan.h"
#include "control/resize/resize_run.h"
#include "control/rules/active_rules.h"
#include "control/rules/blocklist_map.h"
#include "control/state/saved_state.pb.h"
#include "dataplane/base/rcu.h"

namespace sluice {

struct InstanceSettings {
  std::string object_dir;        // of the .bpf.o files
  std::string pin_root;          // bpffs folder for the ports' maps
  std::string dataplane_binary;  // started by us; empty: somebody else (systemd) starts it
  std::string dataplane_user;
  std::string dataplane_socket;  // where we wait for it
  std::string state_file;        // saved_state.proto
};

// What a resize can cost, as counted since the start; the difference over a resize is what it did.
struct ResizeCosts {
  uint64_t bridged = 0;    // frames that came over the bridge
  uint64_t held = 0;       // frames that waited behind a fence
  uint64_t reordered = 0;  // of those, the ones let go unproven: at most so many overtook
  uint64_t lost = 0;       // drops of any kind we count

  ResizeCosts operator-(const ResizeCosts& before) const {
    return {bridged - before.bridged, held - before.held, reordered - before.reordered, lost - before.lost};
  }
  ResizeCosts operator+(const ResizeCosts& more) const {
    return {bridged + more.bridged, held + more.held, reordered + more.reordered, lost + more.lost};
  }
};

struct FinishedResize {
  Lever lever = Lever::kNone;
  uint32_t from = 0;
  uint32_t to = 0;
  ResizeOutcome outcome;
  ResizeCosts costs;
};

// Of all resizes that ended the same way.
struct ResizeTotals {
  uint64_t count = 0;
  absl::Duration blocked;
  ResizeCosts costs;
};

class Instance {
 public:
  static absl::StatusOr<std::unique_ptr<Instance>> Start(Config config, InstanceSettings settings);
  ~Instance();

  // Plans and, unless `dry_run`, runs. The plan comes back in both cases; what became of it is in
  // last_resize(). An error is a refusal: nothing was begun.
  absl::StatusOr<ResizePlan> Resize(const ResizeWish& wish, bool dry_run, absl::Time deadline);
  absl::StatusOr<ResizePlan> SetWorkers(uint32_t workers, absl::Time deadline);

  // Puts these rules in force in place of rules(): on all ports, or on none. They are the configuration's: an agent
  // that is started after a crash takes the file's when they are not the same.
  absl::Status ReplaceRules(std::vector<RuleConfig> rules);
  // The same for rules that the configuration does not know of: they go on after a crash.
  absl::Status ChangeRules(std::vector<RuleConfig> rules);
  // Sources whose packets are dropped. Replacing puts the whole list in force in one step; the others say how many
  // prefixes were new, or were there. An error has changed nothing. A million prefixes take seconds.
  absl::Status ReplaceBlocklist(std::vector<sluice_prefix> prefixes);
  absl::StatusOr<uint64_t> Block(const std::vector<sluice_prefix>& prefixes);
  absl::StatusOr<uint64_t> Unblock(const std::vector<sluice_prefix>& prefixes);

  // What happens to the ports' packets from the next time on that the dataplane ends.
  void SetDownPolicies(const std::vector<PortConfig>& ports);
  // Puts that many workers (nullopt: one for each active pair) on these cores (none: on every one), or changes nothing.
  absl::Status SetPlacement(std::optional<uint32_t> workers, std::vector<uint32_t> cores, absl::Time deadline);
  // FailedPrecondition for a core that is not online.
  static absl::Status CheckCores(const std::vector<uint32_t>& cores);

  // A call found the dataplane gone; the loop is to call DataplaneLost(), as when the connection ends.
  bool dataplane_gone() const { return dataplane_gone_; }
  bool dataplane_down() const { return down_; }
  // The dataplane's connection has ended: applies the ports' policies and starts another if that is our
  // job. Call TakeInDataplane() when one connects.
  void DataplaneLost();
  absl::Status TakeInDataplane(absl::Time deadline);
  // Once a second or so: addresses, CPUs that came or went, a dataplane that is still to be started.
  void Tick();

  // Everything as it was found. Goes on past errors and returns the first.
  absl::Status Stop();

  const Config& config() const { return config_; }
  const std::vector<RuleConfig>& rules() const { return config_.rules; }
  const std::vector<ActiveRule>& active_rules() const { return rules_; }
  const std::optional<Blocklist>& blocklist() const { return blocklist_; }
  const std::vector<AgentPort>& ports() const { return ports_; }
  const LaneTable& lanes() const { return lanes_; }
  const DataplaneLink& link() const { return *link_; }
  const StatsView& stats() const { return *stats_; }
  const std::vector<uint32_t>& worker_cores() const { return worker_cores_; }
  uint32_t WorkerOf(uint32_t lane) const;
  uint32_t active_pairs() const { return active_pairs_; }
  uint32_t wanted_pairs() const { return wanted_pairs_; }
  uint32_t restarts() const { return state_.restarts(); }
  // Does XDP carry offloaded flows, and if not, why?
  bool offloads() const { return offloads_; }
  const std::string& why_no_offload() const { return why_no_offload_; }
  const std::optional<FinishedResize>& last_resize() const { return last_resize_; }
  const std::map<std::pair<Lever, ResizeOutcome::State>, ResizeTotals>& resize_totals() const { return resize_totals_; }

 private:
  friend class LiveResize;

  Instance(Config config, InstanceSettings settings) : config_(std::move(config)), settings_(std::move(settings)) {}

  absl::Status BringUp();
  absl::Status BringUpPorts();
  absl::StatusOr<std::optional<Greeting>> FindSurvivor();
  absl::Status AdoptSurvivor(Greeting greeting);
  absl::StatusOr<bool> RepairLanes();
  absl::Status MakePortsAgree();
  absl::Status SetPairsOf(AgentPort& port, uint32_t pairs);
  // The RSS tables of devices that have them. A virtio device stops using its table when the driver says how many
  // queues there are (VQ_PAIRS_SET): XDP coming or going, and ethtool -L, do that once a table was set.
  absl::Status WriteRssTables(uint32_t count);
  absl::Status PlaceAfterRepair();
  // Between these two a successor finds in the state file which resize it was.
  void BeginResize(const ResizePlan& plan, const ResizeCosts& before);
  void EndResize();
  void ReportInterrupted();
  void Record(FinishedResize finished);
  // Lanes [first, end), all or none: with memory, sockets and rings, and in the dataplane's hands; then bound to
  // their queues, which must exist by then, and let in; or both, behind a fence where the bridge lane has had
  // their packets until now.
  absl::Status MakeLanes(uint32_t first, uint32_t end);
  absl::Status BindLanes(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status OpenLanes(uint32_t first, uint32_t end, absl::Time deadline);
  absl::Status OpenBridgeLane();
  absl::Status MakeLane(uint32_t index);
  absl::Status BindLane(uint32_t index, absl::Time deadline);
  // With mode = "auto": what speaks against the zero-copy that binding found, or nothing.
  std::optional<std::string> WhyCopy(const absl::Status& bound, const LaneSockets& lane,
                                     bool others_have_zero_copy) const;
  // After a takeover: new lanes are to be in the mode of those that are there.
  void KeepModeOfLanes();
  absl::Status ForLanes(uint32_t first, uint32_t end, absl::FunctionRef<absl::Status(uint32_t)> step);
  std::vector<QueueAddress> QueuesOf(uint32_t lane) const;
  absl::Status StartDataplaneProcess();
  absl::Status StartFresh();
  absl::Status ConfigureDataplane(uint32_t workers);
  absl::Status OpenAllLanes(uint32_t pairs);
  absl::Status HandLanesToSuccessor();
  absl::Status SendAllLanes();

  absl::Status ShutDownDataplane();
  absl::Status Call(const dataplane::Request& request, const std::vector<int>& fds = {});
  absl::Status SendLane(uint32_t index);
  absl::Status SteerLanes(uint32_t first, uint32_t end);
  absl::Status RemoveLane(uint32_t index);
  // What the ports found out about their drivers (AgentPort::frames_sent_unread).
  absl::Status QuarantineSentFrames();
  // Which lanes frames leave by (contract: SetTransmitLanes); and the same while traffic runs through all lanes
  // there are: what was sent before is out when others send.
  absl::Status SendTransmitLanes(uint32_t count, bool every_lane = false);
  absl::Status ChangeTransmitLanes(uint32_t count, bool every_lane = false);
  // Each flow by its own lane, until Tick() ends it: running flows move with the next packet they have.
  absl::Status SpreadFlows();
  // `fresh` lanes receive nothing from before `change` until what came by `old` lanes before it is out
  // (dataplane/process/fence.h). The answer is the change's.
  absl::Status Fenced(const std::vector<uint32_t>& fresh, absl::FunctionRef<absl::Status()> change,
                      const std::vector<uint32_t>& old);
  absl::Status Place(uint32_t workers);
  absl::Status PlaceAsConfigured(absl::Time deadline);

  absl::Status MakeRules();
  absl::Status PutRules(std::vector<ActiveRule> rules);
  absl::Status FlipRules();
  void SaveRules();
  absl::Status AdoptBlocklist();
  absl::Status PutBlocklist(const std::optional<Blocklist>& list);

  // Offloaded flows (instance_offload.cc).
  std::string WhyNoOffload() const;
  void FollowOffload();
  absl::Status StartOffload();
  absl::Status StopOffload();
  absl::Status AdoptOffload();
  absl::Status ReadFlowStates();
  absl::Status CarryFlows();
  // A change after which no decision of before may be followed: when it is acknowledged, none is, and no packet has
  // overtaken one that was carried.
  absl::Status Withdrawing(absl::FunctionRef<absl::Status()> change);
  absl::Status SendFlowEpoch(uint32_t epoch);
  absl::Status ShareCredit();
  absl::Status SendFlowTables();
  std::vector<uint32_t> AllLanes() const;

  void FollowAddresses();
  void FollowCpus();
  // Those the config allows, as far as they are online.
  absl::StatusOr<std::vector<uint32_t>> UsableCores() const;
  UmemLayout LaneLayout() const;
  ResizeState CurrentState() const;
  absl::Status RunResize(const ResizePlan& plan, absl::Time deadline);
  ResizeCosts CostsSoFar() const;
  // Frames that clsact put on the bridges and no lane has received yet, nor the kernel dropped.
  int64_t OnTheBridges() const;
  void SaveState();

  Config config_;
  InstanceSettings settings_;
  std::vector<AgentPort> ports_;
  std::vector<ActiveRule> rules_;
  uint32_t next_rule_id_ = 0;  // 0: what an agent before us had is still to be read
  std::optional<Blocklist> blocklist_;
  LaneTable lanes_;
  std::optional<RcuWaiter> rcu_;
  std::optional<DataplaneLink> link_;
  std::optional<StatsView> stats_;
  SavedState state_;
  std::vector<uint32_t> usable_cores_;
  std::vector<uint32_t> worker_cores_;  // worker w runs on worker_cores_[w]
  uint32_t possible_cpus_ = 1;
  uint32_t active_pairs_ = 0;
  uint32_t transmit_lanes_ = 0;
  absl::Duration spread_flows_for_ = absl::InfiniteDuration();  // until Tick() ends it; infinite: nothing to end
  absl::Time last_tick_ = absl::InfinitePast();
  uint32_t wanted_pairs_ = 0;
  std::vector<uint32_t> queue_cpus_;  // where the ports' interrupts go; empty: not known
  uint32_t flow_epoch_ = 0;           // the last one there was
  bool offloads_ = false;
  std::string why_no_offload_ = "not yet";
  std::optional<std::string> copy_because_;  // mode = "auto" found zero-copy of no use
  std::optional<FinishedResize> last_resize_;
  std::map<std::pair<Lever, ResizeOutcome::State>, ResizeTotals> resize_totals_;
  CallLog calls_;                // of the step under way
  bool down_ = false;            // no dataplane; the policy is in force
  bool dataplane_gone_ = false;  // and DataplaneLost() has not been called yet
  absl::Time restart_at_ = absl::InfiniteFuture();
  uint32_t restarts_in_a_row_ = 0;
  absl::Time up_since_ = absl::InfinitePast();
  pid_t child_ = 0;  // the dataplane we started, to be reaped
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_INSTANCE_H_
