// The configuration file, /etc/sluice/sluice.toml: read, checked, and nothing else. DESIGN.md section 5
// lists the keys; unknown keys and wrong values are errors with file:line.
#ifndef SLUICE_CONTROL_CONFIG_CONFIG_H_
#define SLUICE_CONTROL_CONFIG_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/modes.h"
#include "control/rules/rules.h"

namespace sluice {

enum class OnDataplaneDown { kPass, kDrop, kHold };
enum class PollSetting { kAdaptive, kBusy, kInterrupt };
enum class OffloadSetting { kAuto, kOn, kOff };

struct PortConfig {
  std::string name;    // "wan": letters, digits, '-', '_'; unique
  std::string netdev;  // "eth0"; unique
  OnDataplaneDown on_dataplane_down = OnDataplaneDown::kPass;
};

struct DataplaneConfig {
  uint32_t queue_pairs = 1;
  ModeSetting mode = ModeSetting::kAuto;
  std::vector<uint32_t> cores;      // empty: every online CPU
  std::optional<uint32_t> workers;  // nullopt: one for each queue pair, as far as the cores go
  PollSetting poll = PollSetting::kAdaptive;
  OffloadSetting offload = OffloadSetting::kOff;
  uint32_t offload_flows = 65536;  // entries of each port's flow table
};

struct FunctionConfig {
  std::string type;  // "reflect", "forward"
};

// "127.0.0.1:9477", "[::1]:9477".
struct ListenAddress {
  std::string host = "127.0.0.1";  // an IP address, without brackets
  uint16_t port = 9477;
};

struct MetricsConfig {
  bool wanted = true;
  std::optional<ListenAddress> listen;  // nullopt: the default one, if it can be had
};

struct Config {
  std::vector<PortConfig> ports;
  DataplaneConfig dataplane;
  FunctionConfig function;
  MetricsConfig metrics;
  std::vector<RuleConfig> rules;
};

// Their names, in order.
std::vector<std::string> PortNames(const std::vector<PortConfig>& ports);

// Errors: InvalidArgument, one line a problem, each "FILE:LINE: key: what is wrong, what is allowed".
// All problems of a file are listed, not only the first.
absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file_name);
// A text that has nothing but [[rule]] tables, for these ports. Errors as ParseConfig.
absl::StatusOr<std::vector<RuleConfig>> ParseRules(const std::string& text, const std::string& file_name,
                                                   const std::vector<PortConfig>& ports);
// The text of a file. NotFound or PermissionDenied with the path; InvalidArgument when it is too large.
absl::StatusOr<std::string> ReadConfigFile(const std::string& path);
// Errors as ReadConfigFile and ParseConfig.
absl::StatusOr<Config> LoadConfig(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_CONFIG_H_
