// The maps of one port's steering program, opened from where they are pinned. Values are those of
// bpf/sluice_abi.h. One thread. Errors name the map and carry the kernel's.
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

  // The XSKMAP, keyed by RX queue. Borrowed.
  int xsks_fd() const { return xsks_.get(); }
  // Absent entries are not an error.
  absl::Status RemoveSocket(uint32_t queue);

  // The flow table, of two maps, and what XDP and the dataplane tell each other about the queues (bpf/credit.h): the
  // dataplane maps them. Borrowed.
  int flows_fd() const { return flows_.get(); }
  int details_fd() const { return details_.get(); }
  int credit_fd() const { return credit_.get(); }
  // No packet has been given to the queue's new socket yet; it must not be in the XSKMAP.
  absl::Status SetCreditBase(uint32_t queue);
  // As many as the program was loaded with; 0 when that is no power of two.
  uint32_t flow_buckets() const { return flow_buckets_; }

  absl::StatusOr<sluice_config> GetConfig() const;
  // Replaces the element whole.
  absl::Status SetConfig(const sluice_config& config);
  // Rules change in two steps: the idle bank is filled, in which no packet is looked up any more
  // (RcuWaiter::Wait() since the last flip), then it becomes the one in force, for whole packets. A second flip
  // takes the first back. `hits` has an element for each rule; a fresh counter must belong to no rule in force.
  absl::Status FillIdleRules(absl::Span<const SteeringRule> rules, absl::Span<const RuleHits> hits);
  absl::Status FlipRules();
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const { return rules_.ReadHits(index); }

  // The trie that holds the blocked sources, in one step; returns when the last packet that was looked up in the one
  // before is done with (kernel/bpf/syscall.c: maybe_wait_bpf_programs). -1: none.
  absl::Status SetBlocklist(int trie);
  // The one in force; an empty descriptor when there is none.
  absl::StatusOr<UniqueFd> OpenBlocklist() const;
  // Makes the set of local addresses exactly `addresses` (adds first, then deletes).
  absl::Status SetLocals(absl::Span<const sluice_address> addresses);

  // Summed over CPUs.
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const;

 private:
  explicit SteeringMaps(RuleMaps rules) : rules_(std::move(rules)) {}
  UniqueFd xsks_, config_, blocked_, locals_, counters_, flows_, details_, credit_;
  uint32_t flow_buckets_ = 0;
  RuleMaps rules_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_STEERING_MAPS_H_
