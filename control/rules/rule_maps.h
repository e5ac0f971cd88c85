// The BPF maps that hold a port's rules, bank by bank (bpf/rules.h). Keys and values are those of bpf/sluice_abi.h.
// One thread. Errors name the map and carry the kernel's error.
#ifndef SLUICE_CONTROL_RULES_RULE_MAPS_H_
#define SLUICE_CONTROL_RULES_RULE_MAPS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/rules/rule_tables.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

struct RuleMapFds {
  UniqueFd banks, rules, sets, values, prefixes, hits;
};

class RuleMaps {
 public:
  explicit RuleMaps(RuleMapFds maps) : maps_(std::move(maps)) {}
  static absl::StatusOr<RuleMaps> Open(const std::string& pin_dir);

  // Pins each map that is not pinned there.
  absl::Status PinIn(const std::string& pin_dir) const;

  // Writes a bank in which no packet is looked up. An error leaves this bank half written; the other one is unchanged.
  absl::Status Fill(uint32_t bank, const RuleTables& tables);
  // Returns the counter's sum over all CPUs.
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const;

 private:
  absl::Status FillPrefixes(uint32_t bank, const RuleTables& tables);

  RuleMapFds maps_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_MAPS_H_
