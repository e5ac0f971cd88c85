// The rules in force. Each has an id and a counter that it keeps while the others change. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_ACTIVE_RULES_H_
#define SLUICE_CONTROL_RULES_ACTIVE_RULES_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/rules/rule.h"

namespace sluice {

struct ActiveRule {
  RuleConfig config;
  uint32_t id = 0;    // from 1; no other rule gets it as long as the agent's state lasts
  uint32_t hits = 0;  // index of its counter on every port, below SLUICE_RULE_HITS
  bool fresh = true;  // the counter is to start at zero
};

// Returns the rules of `wanted`, in their order. A rule with the fields of one of `now` keeps that one's id and
// counter. The others get ids from `next_id` on, and counters that none of `now` has.
std::vector<ActiveRule> MakeActive(std::vector<RuleConfig> wanted, const std::vector<ActiveRule>& now,
                                   uint32_t& next_id);

std::vector<RuleConfig> ConfigsOf(const std::vector<ActiveRule>& rules);

// Returns `now` with one more rule, in front of the rule with id `before`, or at the end when that is 0. NotFound when
// no rule has that id, ResourceExhausted when there are SLUICE_MAX_RULES already.
absl::StatusOr<std::vector<RuleConfig>> WithRule(const std::vector<ActiveRule>& now, RuleConfig rule, uint32_t before);

// Returns `now` without the rules with these ids. NotFound names the ids that no rule has.
absl::StatusOr<std::vector<RuleConfig>> WithoutRules(const std::vector<ActiveRule>& now,
                                                     absl::Span<const uint32_t> ids);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_ACTIVE_RULES_H_
