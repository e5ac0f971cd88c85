// The maps that hold a port's rules, bank by bank (bpf/rules.h). Values are those of bpf/sluice_abi.h. One thread.
// Errors name the map and carry the kernel's.
#ifndef SLUICE_CONTROL_RULES_RULE_MAPS_H_
#define SLUICE_CONTROL_RULES_RULE_MAPS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/rules/rule_tables.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

// Where a rule counts.
struct RuleHits {
  uint32_t index = 0;  // below SLUICE_RULE_HITS; of one rule only
  bool fresh = true;   // to start at zero
};

struct RuleMapFds {
  UniqueFd banks, rules, sets, values, prefixes, hits;
};

class RuleMaps {
 public:
  explicit RuleMaps(RuleMapFds maps) : maps_(std::move(maps)) {}
  static absl::StatusOr<RuleMaps> Open(const std::string& pin_dir);

  // Writes a bank that no packet is looked up in; `hits` has an element for each rule. An error leaves the bank half
  // written, and the other as it was.
  absl::Status Fill(uint32_t bank, const RuleTables& tables, absl::Span<const RuleHits> hits);
  // Summed over CPUs.
  absl::StatusOr<sluice_rule_hits> ReadHits(uint32_t index) const;

 private:
  absl::Status FillPrefixes(uint32_t bank, const RuleTables& tables);

  RuleMapFds maps_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_MAPS_H_
