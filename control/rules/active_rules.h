// The rules in force, each with an id that stays its own and a counter, over changes of the others. Pure; any thread.
#ifndef SLUICE_CONTROL_RULES_ACTIVE_RULES_H_
#define SLUICE_CONTROL_RULES_ACTIVE_RULES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/rules/rules.h"

namespace sluice {

struct ActiveRule {
  RuleConfig config;
  uint32_t id = 0;    // from 1; never given to another rule as long as the agent's state lasts
  uint32_t hits = 0;  // index of its counter on every port
  bool fresh = true;  // the counter is to start at zero
};

// `wanted`, in its order. A rule that says the same as one of `now` is that one: it keeps id and counter. The others
// get ids from `next_id` on and counters that none of `now` has.
std::vector<ActiveRule> MakeActive(std::vector<RuleConfig> wanted, const std::vector<ActiveRule>& now,
                                   uint32_t& next_id);

std::vector<RuleConfig> ConfigsOf(const std::vector<ActiveRule>& rules);
bool SameRules(absl::Span<const RuleConfig> a, absl::Span<const RuleConfig> b);

// `now` with one more, in front of rule `before`, or at the end when that is 0. NotFound when there is no such rule,
// ResourceExhausted when there are SLUICE_MAX_RULES.
absl::StatusOr<std::vector<RuleConfig>> WithRule(const std::vector<ActiveRule>& now, RuleConfig rule, uint32_t before);
// `now` without those. NotFound, naming the ids that no rule has.
absl::StatusOr<std::vector<RuleConfig>> WithoutRules(const std::vector<ActiveRule>& now,
                                                     absl::Span<const uint32_t> ids);

// A rule from its fields, for one of `ports`. InvalidArgument with every problem.
absl::StatusOr<RuleConfig> MakeRule(const RuleFields& fields, absl::Span<const std::string> port_names);

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_ACTIVE_RULES_H_
