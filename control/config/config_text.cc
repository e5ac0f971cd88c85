#include "control/config/config_text.h"

#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/config/keys.h"

namespace sluice {
namespace {

std::string AddressText(const ListenAddress& address) {
  const bool ipv6 = absl::StrContains(address.host, ':');
  return absl::StrCat(ipv6 ? "[" : "", address.host, ipv6 ? "]:" : ":", address.port);
}

toml::table PortTable(const PortConfig& port) {
  toml::table table;
  table.insert("name", port.name);
  table.insert("netdev", port.netdev);
  table.insert("on_dataplane_down", std::string(Name(port.on_dataplane_down)));
  return table;
}

toml::table DataplaneTable(const DataplaneConfig& dataplane) {
  toml::table table;
  table.insert("queue_pairs", static_cast<int64_t>(dataplane.queue_pairs));
  table.insert("mode", std::string(Name(dataplane.mode)));
  table.insert("poll", std::string(Name(dataplane.poll)));
  table.insert("offload", std::string(Name(dataplane.offload)));
  table.insert("offload_flows", static_cast<int64_t>(dataplane.offload_flows));
  if (!dataplane.cores.empty()) {
    toml::array cores;
    for (const uint32_t core : dataplane.cores) {
      cores.push_back(static_cast<int64_t>(core));
    }
    table.insert("cores", std::move(cores));
  }
  if (dataplane.workers.has_value()) {
    table.insert("workers", static_cast<int64_t>(*dataplane.workers));
  }
  return table;
}

toml::table RuleTable(const RuleConfig& rule) {
  toml::table table;
  for (const auto& [field, value] : rule.fields) {
    table.insert(field, value);
  }
  return table;
}

template <typename Items, typename MakeTable>
toml::array Tables(const Items& items, MakeTable make_table) {
  toml::array tables;
  for (const auto& item : items) {
    tables.push_back(make_table(item));
  }
  return tables;
}

}  // namespace

const char* Name(OnDataplaneDown value) {
  return kOnDataplaneDownWords[static_cast<size_t>(value)].word;
}

const char* Name(ModeSetting value) {
  return kModeWords[static_cast<size_t>(value)].word;
}

const char* Name(PollSetting value) {
  return kPollWords[static_cast<size_t>(value)].word;
}

const char* Name(OffloadSetting value) {
  return kOffloadWords[static_cast<size_t>(value)].word;
}

std::string CoresText(const DataplaneConfig& dataplane) {
  return dataplane.cores.empty() ? "every CPU" : absl::StrCat("[", absl::StrJoin(dataplane.cores, ", "), "]");
}

std::string WorkersText(const DataplaneConfig& dataplane) {
  return dataplane.workers.has_value() ? absl::StrCat(*dataplane.workers) : "one for each queue pair";
}

std::string ListenText(const MetricsConfig& metrics) {
  if (!metrics.wanted) {
    return "off";
  }
  return metrics.listen.has_value() ? AddressText(*metrics.listen)
                                    : absl::StrCat(AddressText(ListenAddress()), ", if it can be had");
}

std::string RuleText(const RuleFields& fields) {
  const auto action = fields.find("action");
  return absl::StrCat(MatchText(fields), " -> ", action == fields.end() ? "" : action->second);
}

std::string ToToml(const Config& config) {
  toml::table root;
  root.insert("port", Tables(config.ports, PortTable));
  root.insert("dataplane", DataplaneTable(config.dataplane));
  toml::table function;
  function.insert("type", config.function.type);
  root.insert("function", std::move(function));
  if (!config.metrics.wanted || config.metrics.listen.has_value()) {
    toml::table metrics;
    metrics.insert("listen", ListenText(config.metrics));
    root.insert("metrics", std::move(metrics));
  }
  if (!config.rules.empty()) {
    root.insert("rule", Tables(config.rules, RuleTable));
  }
  std::ostringstream text;
  text << root << "\n";
  return text.str();
}

}  // namespace sluice
