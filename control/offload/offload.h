// Offloaded flows as the agent sees them: decides when XDP may send their packets, and withdraws the dataplane's
// decisions.
//
// An entry of the offload tables belongs to an epoch (bpf/sluice_abi.h), and XDP follows the entries of one epoch only.
// So a new epoch withdraws all of them at once:
//
//   lanes held back ─► change, new epoch in every port's map ─► polls that began before have ended ─► lanes go on
//
// After the change every packet comes to the lanes, where it waits until all packets that XDP sent before are out
// (dataplane/process/fence.h). XDP sends no packet by itself while pairs are resized, without a dataplane, or where it
// would bring flows to other queues than their lane's.
//
// One thread. Blocks for as long as a fence does.
#ifndef SLUICE_CONTROL_OFFLOAD_OFFLOAD_H_
#define SLUICE_CONTROL_OFFLOAD_OFFLOAD_H_

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "control/config/config.h"
#include "control/dataplane/dataplane_client.h"
#include "control/lanes/lane_set.h"
#include "control/lanes/placement.h"
#include "control/lanes/transmit_spread.h"
#include "control/port/port_set.h"

namespace sluice {

class Offload {
 public:
  // Waits for an RCU grace period (dataplane/base/rcu.h).
  using RcuWait = std::function<absl::Status()>;

  // Borrows all but the first and the last.
  Offload(OffloadSetting setting, PortSet& ports, const LaneSet& lanes, const Placement& placement,
          const TransmitSpread& transmit, DataplaneClient& dataplane, RcuWait wait_for_rcu)
      : setting_(setting),
        ports_(ports),
        lanes_(lanes),
        placement_(placement),
        transmit_(transmit),
        dataplane_(dataplane),
        wait_for_rcu_(std::move(wait_for_rcu)) {}

  bool on() const { return on_; }
  // The reason for which it is off, for users; empty: there is none, though it may be off for a moment.
  const std::string& why_not() const { return why_not_; }

  // Once a second or so: switches it on or off as why_not() says. Errors are logged.
  void Follow();
  // Switches it off until Follow() switches it on again. An error has left it half off.
  absl::Status Stop();
  // After a takeover from another agent, which may have had it on or died while it switched it: switches it off.
  absl::Status Adopt();
  // Notes that the dataplane is gone: none of its entries counts any more.
  void DataplaneLost();
  // Runs `change` and withdraws all decisions made before it. When it returns, XDP follows none of them, and no packet
  // has overtaken one that XDP sent before. Returns the status of `change`, or the error for which the decisions could
  // not be withdrawn.
  absl::Status Withdrawing(absl::FunctionRef<absl::Status()> change);

 private:
  std::string WhyNot() const;
  std::string WhyNotOn(const Port& port) const;
  absl::Status Start();
  absl::Status ReadStates();
  absl::Status SendTables();
  absl::Status StartOnPorts();

  const OffloadSetting setting_;
  PortSet& ports_;
  const LaneSet& lanes_;
  const Placement& placement_;
  const TransmitSpread& transmit_;
  DataplaneClient& dataplane_;
  RcuWait wait_for_rcu_;
  bool on_ = false;
  uint32_t epoch_ = 0;  // the last one there was
  std::string why_not_ = "not yet";
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_OFFLOAD_OFFLOAD_H_
