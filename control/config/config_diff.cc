#include "control/config/config_diff.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control/config/config_text.h"
#include "control/config/keys.h"

namespace sluice {
namespace {

constexpr const char* kNone = "none";

const PortConfig* FindPort(const Config& config, const std::string& name) {
  const auto found =
      std::find_if(config.ports.begin(), config.ports.end(), [&](const PortConfig& port) { return port.name == name; });
  return found == config.ports.end() ? nullptr : &*found;
}

class Differences {
 public:
  void Add(const char* table, const char* key, const std::string& before, const std::string& after,
           const std::string& port = "") {
    if (before != after) {
      changes_.push_back(
          {absl::StrCat(table, ".", port, port.empty() ? "" : ".", key), before, after, FindKey(table, key).live});
    }
  }
  void AddPort(const std::string& name, const std::string& before, const std::string& after) {
    changes_.push_back({absl::StrCat("port.", name), before, after, FindKey("port", "name").live});
  }
  std::vector<ConfigChange> Take() { return std::move(changes_); }

 private:
  std::vector<ConfigChange> changes_;
};

void ComparePorts(const Config& before, const Config& after, Differences& out) {
  for (const PortConfig& was : before.ports) {
    const PortConfig* is = FindPort(after, was.name);
    if (is == nullptr) {
      out.AddPort(was.name, was.netdev, kNone);
      continue;
    }
    out.Add("port", "netdev", was.netdev, is->netdev, was.name);
    out.Add("port", "on_dataplane_down", Name(was.on_dataplane_down), Name(is->on_dataplane_down), was.name);
  }
  for (const PortConfig& is : after.ports) {
    if (FindPort(before, is.name) == nullptr) {
      out.AddPort(is.name, kNone, is.netdev);
    }
  }
}

// For each rule of `after` its place in `before`, along the longest run of rules that keep their order: those stay,
// whatever else moves.
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
    if (!change.live) {
      keys.push_back(change.key);
    }
  }
  return keys;
}

ConfigDiff Compare(const Config& before, const Config& after) {
  Differences out;
  ComparePorts(before, after, out);
  const DataplaneConfig& was = before.dataplane;
  const DataplaneConfig& is = after.dataplane;
  out.Add("dataplane", "queue_pairs", absl::StrCat(was.queue_pairs), absl::StrCat(is.queue_pairs));
  out.Add("dataplane", "mode", Name(was.mode), Name(is.mode));
  out.Add("dataplane", "cores", CoresText(was), CoresText(is));
  out.Add("dataplane", "workers", WorkersText(was), WorkersText(is));
  out.Add("dataplane", "poll", Name(was.poll), Name(is.poll));
  out.Add("dataplane", "offload", Name(was.offload), Name(is.offload));
  out.Add("dataplane", "offload_flows", absl::StrCat(was.offload_flows), absl::StrCat(is.offload_flows));
  out.Add("function", "type", before.function.type, after.function.type);
  out.Add("metrics", "listen", ListenText(before.metrics), ListenText(after.metrics));
  return {out.Take(), CompareRules(before.rules, after.rules)};
}

}  // namespace sluice
