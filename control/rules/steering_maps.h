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
#include "control/rules/source_list.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// The addresses for which the guest's own stack takes packets.
struct Locals {
  std::vector<sluice_address> addresses;  // the guest's, on any interface
  std::vector<sluice_address> groups;     // multicast groups that it joined on the port
};

class SteeringMaps {
 public:
  static absl::StatusOr<SteeringMaps> Open(const std::string& pin_dir);

  // True if configuration and XSKMAP are those that are pinned in this folder, from which a program gets its maps.
  bool ArePinnedIn(const std::string& pin_dir) const;
  // Pins each map that is not pinned there. FailedPrecondition when another one is in its place.
  absl::Status PinIn(const std::string& pin_dir) const;

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

  // The queue's self-test (bpf/self_test.h).
  absl::Status SetSelfTest(uint32_t queue, const sluice_self_test& test);
  absl::StatusOr<sluice_self_test> GetSelfTest(uint32_t queue) const;

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

  // Puts another trie in force, in one step; -1: no trie. Returns after an RCU grace period, so that no packet is still
  // looked up in the trie before it (kernel/bpf/syscall.c: maybe_wait_bpf_programs).
  absl::Status SetList(ListKind kind, int trie);
  // Returns the trie in force; an empty descriptor when there is none.
  absl::StatusOr<UniqueFd> OpenList(ListKind kind) const;
  // Both for a trie that is in force no more, which the map keeps for the next agent.
  absl::Status SetFormerList(ListKind kind, int trie);
  absl::StatusOr<UniqueFd> OpenFormerList(ListKind kind) const;

  // Makes the map of local addresses and groups equal to `locals`. Adds come before deletes where the map has room.
  absl::Status SetLocals(const Locals& locals);

  // Returns the queue's counters, summed over all CPUs.
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const;

 private:
  explicit SteeringMaps(RuleMaps rules) : rules_(std::move(rules)) {}
  absl::Status SetTrie(uint32_t place, int trie);
  absl::StatusOr<UniqueFd> OpenTrie(uint32_t place) const;

  UniqueFd xsks_, config_, blocked_, locals_, counters_, flows_, details_, credit_, self_test_;
  uint32_t flow_buckets_ = 0;
  RuleMaps rules_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_STEERING_MAPS_H_
