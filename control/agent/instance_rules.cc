// The steering rules of a running Instance.
#include <utility>

#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::Status Instance::ReplaceRules(std::vector<RuleConfig> rules) {
  for (size_t changed = 0; changed < ports_.size(); ++changed) {
    const absl::Status s = ports_[changed].SetRules(rules);
    if (s.ok()) {
      continue;
    }
    for (size_t port = 0; port <= changed; ++port) {
      if (absl::Status undone = ports_[port].SetRules(config_.rules); !undone.ok()) {
        spdlog::error("putting the rules back: {}", std::string(undone.message()));
      }
    }
    return s;
  }
  config_.rules = std::move(rules);
  return absl::OkStatus();
}

}  // namespace sluice
