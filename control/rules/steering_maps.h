// The BPF maps of one port's steering program, opened from their pins. Keys and values are those of
// bpf/sluice_abi.h. One thread. Errors name the map and carry the kernel's error.
#ifndef SLUICE_CONTROL_RULES_STEERING_MAPS_H_
#define SLUICE_CONTROL_RULES_STEERING_MAPS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "control/rules/rule_maps.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class SteeringMaps {
 public:
  static absl::StatusOr<SteeringMaps> Open(const std::string& pin_dir);

  // True if configuration and XSKMAP are those that are pinned in this folder, from which a program gets its maps.
  bool ArePinnedIn(const std::string& pin_dir) const;

  // The XSKMAP, keyed by RX queue. Borrowed.
  int xsks_fd() const { return xsks_.get(); }
  // An absent entry is not an error.
  absl::Status RemoveSocket(uint32_t queue);

  // The two maps of the flow table, and the queue credit (bpf/credit.h). The dataplane maps all three into its memory.
  // Borrowed.
  int flows_fd() const { return flows_.get(); }
  int details_fd() const { return details_.get(); }
  int credit_fd() const { return credit_.get(); }
  // Says that the queue has a new socket, to which no packet has been delivered. The socket must not be in the XSKMAP
  // yet.
  absl::Status SetCreditBase(uint32_t queue);
  // Returns the number of buckets that the program was loaded with; 0 when that is no power of two.
  uint32_t flow_buckets() const { return flow_buckets_; }

  absl::StatusOr<sluice_config> GetConfig() const;
  // Replaces the whole element.
  absl::Status SetConfig(const sluice_config& config);

  // Rules change in two steps. FillIdleRules() fills the idle bank; the caller has waited for an RCU grace period
  // (RcuWaiter::Wait) since the last flip, so that no packet is still looked up there. FlipRules() puts that bank in
  // force, for whole packets; a second flip undoes the first. The counter of a fresh rule must belong to no rule in
  // force.
  absl::Status FillIdleRules(absl::Span<const ActiveRule> rules);
  absl::Status FlipRules();
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const { return rules_.ReadHits(index); }

  // Puts another trie of blocked sources in force, in one step; -1: no trie. Returns after an RCU grace period, so that
  // no packet is still looked up in the trie before it (kernel/bpf/syscall.c: maybe_wait_bpf_programs).
  absl::Status SetBlocklist(int trie);
  // Returns the trie in force; an empty descriptor when there is none.
  absl::StatusOr<UniqueFd> OpenBlocklist() const;

  // Makes the set of local addresses equal to `addresses`. Adds come before deletes where the map has room.
  absl::Status SetLocals(absl::Span<const sluice_address> addresses);

  // Returns the queue's counters, summed over all CPUs.
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const;

 private:
  explicit SteeringMaps(RuleMaps rules) : rules_(std::move(rules)) {}
  UniqueFd xsks_, config_, blocked_, locals_, counters_, flows_, details_, credit_;
  uint32_t flow_buckets_ = 0;
  RuleMaps rules_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_STEERING_MAPS_H_
