// The configuration of an agent: the checked content of /etc/sluice/sluice.toml. A key that is left out has the value
// of the initialiser here. keys.h lists the keys. Pure, except for ReadConfigFile and LoadConfig; any thread.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/config/listen_address.h"
#include "control/kernel/modes.h"
#include "control/rules/rule.h"
#include "dataplane/function/settings.h"

namespace sluice {

enum class OnDataplaneDown { kPass, kDrop, kHold };
enum class PollSetting { kAdaptive, kBusy, kInterrupt };
enum class OffloadSetting { kAuto, kOn, kOff };

struct PortConfig {
  std::string name;    // "wan": letters, digits, '-', '_'; unique
  std::string netdev;  // "eth0"; unique
  OnDataplaneDown on_dataplane_down = OnDataplaneDown::kPass;
};

struct QueuePairsSetting {
  std::optional<uint32_t> count = 1;  // nullopt: "auto"

  bool automatic() const { return !count.has_value(); }
};

struct DataplaneConfig {
  QueuePairsSetting queue_pairs;
  uint32_t queue_pairs_min = 1;             // of "auto"
  std::optional<uint32_t> queue_pairs_max;  // of "auto"; nullopt: as many as the devices can have
  ModeSetting mode = ModeSetting::kAuto;
  std::vector<uint32_t> cores;      // empty: every online CPU
  std::optional<uint32_t> workers;  // nullopt: one for each queue pair, at most one for each core
  PollSetting poll = PollSetting::kAdaptive;
  OffloadSetting offload = OffloadSetting::kOff;
  uint32_t offload_flows = 65536;  // entries of each port's flow table; a power of two

  // Pairs that a port has when an agent starts afresh.
  uint32_t FirstPairs() const { return queue_pairs.count.value_or(queue_pairs_min); }
};

struct FunctionConfig {
  std::string type;       // a name of the catalogue (dataplane/functions/catalog.h)
  SettingTexts settings;  // every setting of that function, in canonical text
};

struct MetricsConfig {
  bool wanted = true;
  std::optional<ListenAddress> listen;  // nullopt: the default address, and no metrics when that is taken

  bool operator==(const MetricsConfig&) const = default;
};

// The file of a list of sources (control/rules/source_list_text.h).
struct ListConfig {
  std::optional<std::string> file;  // an absolute path; nullopt: only sluicectl changes the list
  uint32_t min_entries = 1;         // a file of fewer is refused

  bool operator==(const ListConfig&) const = default;
};

struct Config {
  std::vector<PortConfig> ports;
  DataplaneConfig dataplane;
  FunctionConfig function;
  MetricsConfig metrics;
  ListConfig blocklist;
  ListConfig allowlist;
  std::vector<RuleConfig> rules;
};

// Returns the ports' names, in their order.
std::vector<std::string> PortNames(const std::vector<PortConfig>& ports);
// Returns "no port dmz; there are: wan, lan", the answer to a name that is none of `names`.
std::string NoSuchPort(const std::string& name, absl::Span<const std::string> names);

// Errors: InvalidArgument, a line for each problem, "FILE:LINE: key: what is wrong, what is allowed". It lists all
// problems of the file, not only the first.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file_name);
// Reads a text that has nothing but [[rule]] tables, for these ports. Errors as ParseConfig.
absl::StatusOr<std::vector<RuleConfig>> ParseRules(const std::string& text, const std::string& file_name,
                                                   const std::vector<PortConfig>& ports);
// Of a file's text. A full rule set is some 20 KiB; it must fit a frame (wire/framing.h).
inline constexpr size_t kMaxConfigBytes = 512 * 1024;
// Returns the text of a file. NotFound or PermissionDenied with the path; InvalidArgument when it is too large.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);
// Errors as ReadConfigFile and ParseConfig.
absl::StatusOr<Config> LoadConfig(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_H_
