// What differs between two configurations, key by key, and which of it needs a restart. Pure.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_

#include <cstddef>
#include <string>
#include <vector>

#include "control/config/config.h"

namespace sluice {

struct ConfigChange {
  std::string key;     // "dataplane.queue_pairs", "port.wan.netdev", "port.wan" for a whole port
  std::string before;  // "none": there was no such port
  std::string after;
  bool live = false;  // else it needs a restart of the agent
};

// Rules are known by their text: one that is written otherwise is another one.
struct RuleChange {
  enum class Kind { kAdded, kRemoved, kMoved };
  Kind kind = Kind::kAdded;
  size_t from = 0;  // its place before, counted from 1; 0: it was not there
  size_t to = 0;    // and after
  std::string rule;
};

struct ConfigDiff {
  std::vector<ConfigChange> changes;
  std::vector<RuleChange> rules;  // removed ones first, then in the order of the new ones

  bool empty() const { return changes.empty() && rules.empty(); }
  std::vector<std::string> KeysThatNeedRestart() const;
};

// The order of ports does not count.
ConfigDiff Compare(const Config& before, const Config& after);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_
