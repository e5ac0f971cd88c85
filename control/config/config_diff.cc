#include "control/config/config_diff.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "control/config/config_text.h"
#include "control/config/function_settings.h"
#include "control/config/keys.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

constexpr const char* kNone = "none";

const PortConfig* FindPort(const Config& config, const std::string& name) {
  const auto found =
      std::find_if(config.ports.begin(), config.ports.end(), [&](const PortConfig& port) { return port.name == name; });
  return found == config.ports.end() ? nullptr : &*found;
}

// Appends the keys of one table that differ. `prefix` stands before them: "port.wan.". `before_port` and `after_port`
// are the places of the port among the ports; only keys of [[port]] use them.
void CompareKeys(const char* table, const std::string& prefix, const Config& before, size_t before_port,
                 const Config& after, size_t after_port, std::vector<ConfigChange>& changes) {
  for (const KeySpec& spec : AllKeys()) {
    if (absl::string_view(spec.table) != table) {
      continue;
    }
    std::string was = ValueText(spec, spec.member.get(before, before_port));
    std::string is = ValueText(spec, spec.member.get(after, after_port));
    if (was != is) {
      changes.push_back({absl::StrCat(prefix, spec.key), std::move(was), std::move(is), spec.change});
    }
  }
}

void ComparePorts(const Config& before, const Config& after, std::vector<ConfigChange>& changes) {
  const auto add = [&](const std::string& name, const std::string& was, const std::string& is) {
    changes.push_back({absl::StrCat("port.", name), was, is, FindKey("port", "name").change});
  };
  for (size_t i = 0; i < before.ports.size(); ++i) {
    const PortConfig& was = before.ports[i];
    const PortConfig* is = FindPort(after, was.name);
    if (is == nullptr) {
      add(was.name, was.netdev, kNone);
    } else {
      const auto place = static_cast<size_t>(is - after.ports.data());
      CompareKeys("port", absl::StrCat("port.", was.name, "."), before, i, after, place, changes);
    }
  }
  for (const PortConfig& is : after.ports) {
    if (FindPort(before, is.name) == nullptr) {
      add(is.name, kNone, is.netdev);
    }
  }
}

void CompareFunctions(const FunctionConfig& before, const FunctionConfig& after, std::vector<ConfigChange>& changes) {
  const FunctionDescriptor* function = FindFunction(after.type);
  if (function != nullptr && before.type == after.type) {
    const std::vector<ConfigChange> settings = CompareSettings(function->settings, before.settings, after.settings);
    changes.insert(changes.end(), settings.begin(), settings.end());
  }
}

// Returns for each rule of `after` its place in `before` when it stays, nullopt when it is new or moves. The longest
// common subsequence stays, so that a diff lists as few moves as possible.
std::vector<std::optional<size_t>> Stayed(const std::vector<RuleConfig>& before, const std::vector<RuleConfig>& after) {
  std::vector<std::vector<size_t>> longest(before.size() + 1, std::vector<size_t>(after.size() + 1, 0));
  for (size_t i = before.size(); i-- > 0;) {
    for (size_t j = after.size(); j-- > 0;) {
      longest[i][j] = before[i].fields == after[j].fields ? longest[i + 1][j + 1] + 1
                                                          : std::max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  std::vector<std::optional<size_t>> stayed(after.size());
  for (size_t i = 0, j = 0; i < before.size() && j < after.size();) {
    if (before[i].fields == after[j].fields) {
      stayed[j++] = i++;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) {
      ++i;
    } else {
      ++j;
    }
  }
  return stayed;
}

std::vector<RuleChange> CompareRules(const std::vector<RuleConfig>& before, const std::vector<RuleConfig>& after) {
  const std::vector<std::optional<size_t>> stayed = Stayed(before, after);
  std::vector<bool> used(before.size(), false);
  for (const std::optional<size_t>& place : stayed) {
    if (place.has_value()) {
      used[*place] = true;
    }
  }
  std::vector<RuleChange> there;
  for (size_t j = 0; j < after.size(); ++j) {
    if (stayed[j].has_value()) {
      continue;
    }
    RuleChange change{RuleChange::Kind::kAdded, 0, j + 1, RuleText(after[j].fields)};
    for (size_t i = 0; i < before.size() && change.from == 0; ++i) {
      if (!used[i] && before[i].fields == after[j].fields) {
        used[i] = true;
        change.kind = RuleChange::Kind::kMoved;
        change.from = i + 1;
      }
    }
    there.push_back(std::move(change));
  }
  std::vector<RuleChange> changes;
  for (size_t i = 0; i < before.size(); ++i) {
    if (!used[i]) {
      changes.push_back({RuleChange::Kind::kRemoved, i + 1, 0, RuleText(before[i].fields)});
    }
  }
  changes.insert(changes.end(), there.begin(), there.end());
  return changes;
}

}  // namespace

std::vector<std::string> ConfigDiff::KeysThatNeedRestart() const {
  std::vector<std::string> keys;
  for (const ConfigChange& change : changes) {
    if (!change.by.live()) {
      keys.push_back(change.key);
    }
  }
  return keys;
}

ConfigDiff Compare(const Config& before, const Config& after) {
  std::vector<ConfigChange> changes;
  ComparePorts(before, after, changes);
  for (const TableSpec& table : AllTables()) {
    if (!table.many) {
      CompareKeys(table.name, absl::StrCat(table.name, "."), before, 0, after, 0, changes);
    }
    if (&table == &FindTable("function")) {
      CompareFunctions(before.function, after.function, changes);
    }
  }
  return {std::move(changes), CompareRules(before.rules, after.rules),
          after.blocklist.file.has_value() || after.allowlist.file.has_value()};
}

}  // namespace sluice
