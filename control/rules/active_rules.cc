#include "control/rules/active_rules.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {

std::vector<ActiveRule> MakeActive(std::vector<RuleConfig> wanted, const std::vector<ActiveRule>& now,
                                   uint32_t& next_id) {
  std::multimap<RuleFields, const ActiveRule*> known;
  std::set<uint32_t> taken;
  for (const ActiveRule& rule : now) {
    known.emplace(rule.config.fields, &rule);
    taken.insert(rule.hits);
  }
  std::vector<ActiveRule> active;
  uint32_t free_hits = 0;
  for (RuleConfig& config : wanted) {
    ActiveRule rule;
    if (const auto same = known.lower_bound(config.fields); same != known.end() && same->first == config.fields) {
      rule.id = same->second->id;
      rule.hits = same->second->hits;
      rule.fresh = same->second->fresh;
      known.erase(same);
    } else {
      while (taken.count(free_hits) != 0) {
        ++free_hits;
      }
      rule.id = next_id++;
      rule.hits = free_hits++;
    }
    rule.config = std::move(config);
    active.push_back(std::move(rule));
  }
  return active;
}

std::vector<RuleConfig> ConfigsOf(const std::vector<ActiveRule>& rules) {
  std::vector<RuleConfig> configs;
  configs.reserve(rules.size());
  for (const ActiveRule& rule : rules) {
    configs.push_back(rule.config);
  }
  return configs;
}

absl::StatusOr<std::vector<RuleConfig>> WithRule(const std::vector<ActiveRule>& now, RuleConfig rule, uint32_t before) {
  if (now.size() >= SLUICE_MAX_RULES) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", now.size(),
                     " rules, and there can be no more; for sources to drop there is the "
                     "blocklist (sluicectl blocklist)"));
  }
  std::vector<RuleConfig> wanted = ConfigsOf(now);
  auto place = wanted.end();
  if (before != 0) {
    const auto next = std::find_if(now.begin(), now.end(), [&](const ActiveRule& r) { return r.id == before; });
    if (next == now.end()) {
      return absl::NotFoundError(absl::StrCat("no rule has id ", before, "; sluicectl rules lists them"));
    }
    place = wanted.begin() + (next - now.begin());
  }
  wanted.insert(place, std::move(rule));
  return wanted;
}

absl::StatusOr<std::vector<RuleConfig>> WithoutRules(const std::vector<ActiveRule>& now,
                                                     absl::Span<const uint32_t> ids) {
  std::set<uint32_t> unwanted(ids.begin(), ids.end());
  std::vector<RuleConfig> wanted;
  for (const ActiveRule& rule : now) {
    if (unwanted.erase(rule.id) == 0) {
      wanted.push_back(rule.config);
    }
  }
  if (!unwanted.empty()) {
    return absl::NotFoundError(
        absl::StrCat("no rule has id ", absl::StrJoin(unwanted, ", "), "; sluicectl rules lists them"));
  }
  return wanted;
}

}  // namespace sluice
