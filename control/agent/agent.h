// The control agent: owns everything it takes to run a network function, starts it, takes it over from an agent that
// died, keeps it running and puts the kernel back as it was found.
//
//   Start() ─► ports up (inactive) ─► lanes bound ─► dataplane configured ─► rules ─► ports activated
//
// The objects it owns do the work; each has its own header. A later object knows earlier ones, never the other way
// round:
//
//   state file, function, call log, link ─► ports ─► dataplane client, supervisor ─► placement ─► lanes
//     ─► transmit spread ─► handover ─► offload ─► steering ─► resizer
//
// Ownership: it owns them all; destroying it without Stop() leaves traffic running. One thread: the agent's loop.
// Blocking calls are bounded (DataplaneClient::kCallTimeout and the bounds of the plans), except for a blocklist, which
// takes the longer the more prefixes it has.
#ifndef SLUICE_CONTROL_AGENT_AGENT_H_
#define SLUICE_CONTROL_AGENT_AGENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/config/config.h"
#include "control/dataplane/call_log.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_link.h"
#include "control/dataplane/dataplane_process.h"
#include "control/dataplane/dataplane_supervisor.h"
#include "control/function/function_host.h"
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
#include "dataplane/base/rcu.h"

namespace sluice {

struct AgentSettings {
  std::string object_dir;        // of the .bpf.o files
  std::string pin_root;          // bpffs folder for the ports' maps
  std::string dataplane_binary;  // the agent starts it; empty: systemd, say, starts it
  std::string dataplane_user;
  std::string dataplane_socket;  // where we wait for it
  std::string state_file;        // saved_state.proto
};

class Agent {
 public:
  // Brings the network function up, or takes over the one that an earlier agent left. On an error Sluice leaves nothing
  // in the kernel, unless an earlier agent's dataplane still carries traffic: then that goes on.
  static absl::StatusOr<std::unique_ptr<Agent>> Start(Config config, AgentSettings settings);
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
  // True if a call found the dataplane gone: the loop then calls DataplaneLost(), as when the connection ends.
  bool dataplane_gone() const { return dataplane_.gone(); }
  // Applies the ports' policies, and starts another dataplane if that is the agent's job.
  void DataplaneLost();
  // Takes in a dataplane that connects, and gives it the lanes. An error has ended it.
  absl::Status TakeInDataplane(absl::Time deadline);
  // Once a second or so: compares the ports with the kernel, follows addresses and CPUs that came or went, starts a
  // dataplane that is due, ends spreading, switches offload.
  void Tick();

  // Puts everything back as it was found. Goes on past errors and returns the first.
  absl::Status Stop();

 private:
  struct Parts;
  Agent(Config config, AgentSettings settings, Parts parts);

  absl::Status BringUp();
  absl::Status BringUpPorts();
  absl::Status StartFresh();
  absl::Status ConnectFresh();
  absl::Status TakeOver(Greeting greeting);

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
  int64_t reconcile_at_ns_ = 0;
  const Served served_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_AGENT_H_
