// The rules of a port, turned into the tables that the BPF programs look packets up in (bpf/rules.h): for each
// value of each field the set of rules that it leaves possible. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_RULE_TABLES_H_
#define SLUICE_CONTROL_RULES_RULE_TABLES_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "control/rules/rule.h"

namespace sluice {

struct RuleTables {
  sluice_bank bank{};
  std::vector<sluice_rule_set> sets;      // by set id
  std::vector<sluice_value_sets> values;  // SLUICE_FIELD_VALUES of them; empty when no rule names a number
  // Of bank 0; the value is a set id. No two keys are equal.
  std::vector<std::pair<sluice_prefix, uint32_t>> prefixes;
  std::vector<uint32_t> actions;  // by rule
};

// InvalidArgument for more than SLUICE_MAX_RULES rules.
absl::StatusOr<RuleTables> MakeRuleTables(absl::Span<const SteeringRule> rules);

// The same prefix in another bank's tables.
sluice_prefix InBank(sluice_prefix prefix, uint32_t bank);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_TABLES_H_
