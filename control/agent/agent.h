// The control agent: owns everything it takes to run a network function, starts it, takes it over from an agent that
// died, keeps it running and puts the kernel back as it was found.
//
//   Start() ─► ports up (inactive) ─► lanes bound ─► dataplane configured ─► self-test ─► rules ─► ports activated
//
// The objects it owns do the work; each has its own header. A later object knows earlier ones, never the other way
// round:
//
//   state file, function, call log, link ─► ports ─► dataplane client, supervisor ─► placement ─► lanes
//     ─► transmit spread ─► handover ─► offload ─► steering ─► resizer ─► autoscaler
//
// Ownership: it owns them all; destroying it without Stop() leaves traffic running. One thread: the agent's loop.
// Blocking calls are bounded (DataplaneClient::kCallTimeout and the bounds of the plans), but for Start() over a list,
// which takes the longer the more prefixes it has.
#ifndef SLUICE_CONTROL_AGENT_AGENT_H_
#define SLUICE_CONTROL_AGENT_AGENT_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/apply/config_lists.h"
#include "control/autoscale/autoscaler.h"
#include "control/config/config.h"
#include "control/dataplane/call_log.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_link.h"
#include "control/dataplane/dataplane_process.h"
#include "control/dataplane/dataplane_supervisor.h"
#include "control/function/function_host.h"
#include "control/kernel/change_watch.h"
#include "control/lanes/handover.h"
#include "control/lanes/lane_kernel.h"
#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/lanes/transmit_spread.h"
#include "control/offload/offload.h"
#include "control/port/port_set.h"
#include "control/resize/resize_objects.h"
#include "control/resize/resizer.h"
#include "control/serve/served.h"
#include "control/state/state_file.h"
#include "control/steering/steering.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/rcu.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

// The lists to start with.
struct StartLists {
  ListsToLoad lists;  // of each kind
  ListCopies copies;
  bool adopt = false;  // goes on with those of an agent that died, whatever their files are now: an apply continues
};

struct AgentSettings {
  std::string object_dir;        // of the .bpf.o files
  std::string pin_root;          // bpffs folder for the ports' maps
  std::string dataplane_binary;  // the agent starts it; empty: systemd, say, starts it
  UserIds dataplane_user;
  std::string dataplane_socket;  // where we wait for it
  std::string state_file;        // saved_state.proto
};

class Agent {
 public:
  // Brings the network function up, or takes over the one that an earlier agent left. On an error Sluice leaves nothing
  // in the kernel, unless an earlier agent's dataplane still carries traffic: then that goes on.
  // Lists are loaded before a device is touched, which takes seconds for a million prefixes.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(Config config, AgentSettings settings, const StartLists& lists);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // For requests and metrics.
  const Served& served() const { return served_; }
  // Returns the configuration with all changes since the start, but for [metrics], which the reporter knows.
  Config RunningConfig() const;

  // Gives the function other values of its live settings; after an error the former ones are in force. When it
  // succeeds, no flow is offloaded under the former values.
  absl::Status ApplyFunctionSettings(const SettingTexts& settings);

  // For the loop: a dataplane connects to the first; the second is readable when the connected one has gone. -1: none.
  int listen_fd() const { return link_.listen_fd(); }
  int connection_fd() const { return link_.connection_fd(); }
  // Readable when devices or addresses have changed: the loop then calls Tick().
  int changes_fd() const { return watch_.fd(); }
  // True while changes wait for the end of a burst: the loop then calls Tick() within kBurstMs.
  static constexpr int kBurstMs = 20;
  bool changes_wait() const { return changes_.devices || changes_.addresses; }
  // True if a call found the dataplane gone: the loop then calls DataplaneLost(), as when the connection ends.
  bool dataplane_gone() const { return dataplane_.gone(); }
  // Applies the ports' policies, and starts another dataplane if that is the agent's job.
  void DataplaneLost();
  // Goes on with a dataplane that connects, and when it has greeted gives it the lanes. Waits for no greeting, and ends
  // what does not greet in time, so it is called in every turn. An error is about a process that was sent away or
  // ended.
  absl::Status TakeInDataplane();
  // Every Watchdog::kLookEveryMs: kills a dataplane that hangs (dataplane_gone() is true then), and starts one that is
  // due.
  void Watch();
  // Every Watchdog::kLookEveryMs: with queue_pairs = "auto", looks at the load and resizes by it.
  void Autoscale() { autoscaler_.Tick(MonotonicNs()); }
  // Once a second, and after changes: compares the ports with the kernel, follows addresses and CPUs that came or went,
  // ends spreading, switches offload.
  void Tick();

  // Puts everything back as it was found. Goes on past errors and returns the first.
  absl::Status Stop();

 private:
  struct Parts;
  Agent(Config config, AgentSettings settings, Parts parts);

  absl::Status BringUp(const StartLists& lists);
  absl::StatusOr<LoadedLists> LoadListsOfStart(const StartLists& start) const;
  absl::StatusOr<std::optional<Greeting>> FindSurvivor();
  bool HasOtherVersion() const;
  void PutBackUnfinished();
  absl::Status PutBackPorts(bool all);
  absl::Status RefuseOtherDevices() const;
  absl::Status BringUpPorts(bool has_survivor);
  absl::Status StartFresh();
  absl::Status ConnectFresh();
  absl::Status TakeOver(Greeting greeting);
  void Reconcile();
  absl::Status RemakeLanes();
  std::string RunsAs() const;

  const Config config_;
  const AgentSettings settings_;
  StateFile state_;
  FunctionHost function_;
  RcuWaiter rcu_;
  CallLog calls_;
  DataplaneLink link_;
  PortSet ports_;
  ForkingLauncher launcher_;
  DataplaneClient dataplane_;
  DataplaneSupervisor supervisor_;
  Placement placement_;
  LinuxLaneKernel lane_kernel_;
  LaneSet lanes_;
  TransmitSpread transmit_;
  Handover handover_;
  Offload offload_;
  Steering steering_;
  Resizer resizer_;
  Autoscaler autoscaler_;
  ChangeWatch watch_;
  Changes changes_;              // that came since the last comparison
  bool remake_lanes_ = false;    // a device came back, and its lanes are not there yet
  bool took_over_ = false;       // there was something of an earlier agent's
  int64_t reconcile_at_ns_ = 0;  // in any case
  int64_t not_before_ns_ = 0;    // changes that come in a burst are looked at together
  const Served served_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_AGENT_H_
