// Steering rules, blocklist and the guest's own addresses, in force on all ports. A change withdraws the decisions
// about offloaded flows that were made before it (Offload::Withdrawing).
//
// Rules have ids and counters that survive changes of other rules and the agent itself: they are in the state file. The
// blocklist survives in the ports' maps. One thread; a call blocks for a grace period, and for a blocklist the longer
// the more prefixes it has: a million take seconds.
#ifndef SLUICE_CONTROL_STEERING_STEERING_H_
#define SLUICE_CONTROL_STEERING_STEERING_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/offload/offload.h"
#include "control/port/port_set.h"
#include "control/rules/active_rules.h"
#include "control/rules/blocklist_map.h"
#include "control/state/state_file.h"

namespace sluice {

class Steering {
 public:
  using RcuWait = Offload::RcuWait;
  // Returns every address of the guest (control/kernel/links.h: LocalAddresses).
  using Addresses = std::function<absl::StatusOr<std::vector<sluice_address>>()>;

  // Borrows the first three.
  Steering(PortSet& ports, Offload& offload, StateFile& state, RcuWait wait_for_rcu, Addresses addresses)
      : ports_(ports),
        offload_(offload),
        state_(state),
        wait_for_rcu_(std::move(wait_for_rcu)),
        addresses_(std::move(addresses)) {}

  // Puts the file's rules in force, unless an agent that died had other rules than the same file: those go on then, as
  // does its blocklist.
  absl::Status Start(const std::vector<RuleConfig>& rules_of_file);

  const std::vector<ActiveRule>& active_rules() const { return active_; }
  std::vector<RuleConfig> rules() const { return ConfigsOf(active_); }
  const std::optional<Blocklist>& blocklist() const { return blocklist_; }

  // Puts these rules in force in place of rules(): on all ports, or on none. They are the configuration's: after a
  // crash the next agent takes the file's rules instead when the file has changed.
  absl::Status ReplaceRules(std::vector<RuleConfig> rules);
  // The same for rules that are not in the configuration: they go on after a crash.
  absl::Status ChangeRules(std::vector<RuleConfig> rules);

  // Changes the list of sources whose packets are dropped. ReplaceBlocklist puts the whole list in force in one step;
  // the others return how many prefixes were new, or were there. An error has changed nothing.
  absl::Status ReplaceBlocklist(std::vector<sluice_prefix> prefixes);
  absl::StatusOr<uint64_t> Block(const std::vector<sluice_prefix>& prefixes);
  absl::StatusOr<uint64_t> Unblock(const std::vector<sluice_prefix>& prefixes);

  // Once a second or so: tells the ports of addresses that came or went. Errors are logged.
  void FollowAddresses();

 private:
  std::vector<ActiveRule> RulesBefore() const;
  absl::Status Put(std::vector<ActiveRule> rules);
  absl::Status AdoptBlocklist();
  absl::Status PutBlocklist(const std::optional<Blocklist>& list);

  PortSet& ports_;
  Offload& offload_;
  StateFile& state_;
  RcuWait wait_for_rcu_;
  Addresses addresses_;
  std::vector<ActiveRule> active_;
  uint32_t next_rule_id_ = 1;
  std::optional<Blocklist> blocklist_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STEERING_STEERING_H_
