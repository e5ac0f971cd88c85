// The lookup tables of a port's rules, as the BPF programs use them (bpf/rules.h): for each value of each field, the
// set of rules that a packet with that value may still match. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_RULE_TABLES_H_
#define SLUICE_CONTROL_RULES_RULE_TABLES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "control/rules/active_rules.h"

namespace sluice {

struct RuleTables {
  sluice_bank bank{};
  std::vector<sluice_rule_set> sets;      // by set id
  std::vector<sluice_value_sets> values;  // SLUICE_FIELD_VALUES elements; empty when no rule names a number field
  std::vector<std::pair<sluice_prefix, uint32_t>> prefixes;  // key in bank 0 -> set id; all keys differ
  std::vector<sluice_rule> rules;                            // in the order of the rules
  std::vector<uint32_t> fresh_hits;                          // counters that are to start at zero
};

// InvalidArgument for more than SLUICE_MAX_RULES rules.
absl::StatusOr<RuleTables> MakeRuleTables(absl::Span<const ActiveRule> rules);

// Returns the key of the same prefix in another bank. `prefix` is a key in bank 0.
sluice_prefix InBank(sluice_prefix prefix, uint32_t bank);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_TABLES_H_
