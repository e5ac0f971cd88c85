// Parses any bytes as a configuration file. The result is a valid configuration, or problems of one line each that name
// the file.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "control/config/config.h"
#include "control/config/config_diff.h"
#include "control/config/config_text.h"
#include "tests/fuzz/require.h"

using sluice::Require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<sluice::Config> config = sluice::ParseConfig(text, "f");
  if (!config.ok()) {
    Require(config.status().code() == absl::StatusCode::kInvalidArgument);
    const std::vector<std::string> lines = absl::StrSplit(std::string(config.status().message()), '\n');
    for (const std::string& line : lines) {
      Require(absl::StartsWith(line, "f:") && line[2] >= '1' && line[2] <= '9');
    }
    return 0;
  }
  Require(!config->ports.empty() && config->ports.size() <= 4);
  std::set<std::string> names, netdevs;
  for (const sluice::PortConfig& port : config->ports) {
    Require(names.insert(port.name).second && netdevs.insert(port.netdev).second);
    Require(!port.netdev.empty() && port.netdev.size() <= 15);
  }
  Require(config->dataplane.FirstPairs() >= 1 && config->dataplane.FirstPairs() <= SLUICE_MAX_QUEUES);
  Require(config->dataplane.queue_pairs_min <= config->dataplane.queue_pairs_max.value_or(SLUICE_MAX_QUEUES));
  for (const sluice::RuleConfig& rule : config->rules) {
    Require(rule.in_port.empty() || names.count(rule.in_port) == 1);
    Require(rule.src_port_first <= rule.src_port_last && rule.dst_port_first <= rule.dst_port_last);
  }
  // The agent keeps the configuration as text. Parsed again, it must be the same.
  const absl::StatusOr<sluice::Config> again = sluice::ParseConfig(sluice::ToToml(*config), "f");
  Require(again.ok() && sluice::Compare(*config, *again).empty());
  return 0;
}
