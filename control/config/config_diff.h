// The differences between two configurations, key by key, and which of them need a restart. Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_

#include <cstddef>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/config/config_step.h"

namespace sluice {

struct ConfigChange {
  std::string key;     // "dataplane.queue_pairs", "port.wan.netdev", "port.wan" for a whole port
  std::string before;  // "none": there was no such port
  std::string after;   // "none": there is no such port
  ChangeBy by;
};

// Two rules are the same when their fields are written the same.
struct RuleChange {
  enum class Kind { kAdded, kRemoved, kMoved };
  Kind kind = Kind::kAdded;
  size_t from = 0;  // its place before, counted from 1; 0: it was not there
  size_t to = 0;    // its place after; 0: it is gone
  std::string rule;
};

struct ConfigDiff {
  std::vector<ConfigChange> changes;
  std::vector<RuleChange> rules;  // removed ones first, then in the order of the rules after
  bool names_lists = false;       // files that an apply reads again, whose content may differ; no difference by itself

  bool empty() const { return changes.empty() && rules.empty(); }
  std::vector<std::string> KeysThatNeedRestart() const;
};

// The order of ports makes no difference. Of a function that is replaced by another, only the type is listed.
ConfigDiff Compare(const Config& before, const Config& after);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_DIFF_H_
