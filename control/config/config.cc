#include "control/config/config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <limits>
#include <map>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/config/keys.h"
#include "control/config/toml_reader.h"
#include "control/rules/rule.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {
namespace {

constexpr size_t kMaxNetdevChars = 15;    // IFNAMSIZ less the terminator
constexpr size_t kMaxPortNameChars = 32;  // fits a table's column; nothing in the kernel asks for it
constexpr uint32_t kMaxCpu = 8191;        // the largest CONFIG_NR_CPUS, x86 MAXSMP
constexpr uint32_t kLeastOffloadFlows = 1024;
constexpr uint32_t kMostOffloadFlows = 1 << 24;
constexpr size_t kMaxFileBytes = 512 * 1024;  // a full rule set is some 20 KiB; must fit a frame (wire/framing.h)

// What a network function asks of the configuration.
struct FunctionType {
  const char* name;
  uint32_t min_ports;
  uint32_t max_ports;
  const char* ports;  // in words
};
constexpr FunctionType kFunctions[] = {{"reflect", 1, kMaxPorts, "at least one port"},
                                       {"forward", 2, 2, "exactly two ports"}};

std::string FunctionNames() {
  return absl::StrJoin(kFunctions, ", ", [](std::string* out, const FunctionType& f) { out->append(f.name); });
}

bool IsPortName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxPortNameChars &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_'; });
}

// net/core/dev.c: dev_valid_name; '%' would be a pattern (dev_alloc_name), and only printable ASCII is sane.
bool IsNetdevName(const std::string& name) {
  return !name.empty() && name.size() <= kMaxNetdevChars && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return std::isgraph(c) != 0 && c != '/' && c != ':' && c != '%'; });
}

// "192.0.2.1:80" or "[2001:db8::1]:80". No names: who listens where must not depend on a resolver.
std::optional<ListenAddress> ParseListenAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > std::numeric_limits<uint16_t>::max()) {
    return std::nullopt;
  }
  ListenAddress address{text.substr(0, colon), static_cast<uint16_t>(port)};
  const bool ipv6 = absl::StartsWith(address.host, "[") && absl::EndsWith(address.host, "]");
  if (ipv6) {
    address.host = address.host.substr(1, address.host.size() - 2);
  }
  in6_addr bits{};
  return inet_pton(ipv6 ? AF_INET6 : AF_INET, address.host.c_str(), &bits) == 1 ? std::make_optional(address)
                                                                                : std::nullopt;
}

void ReadPort(TableReader& in, PortConfig& port) {
  if (const auto name = in.String("name"); name.has_value()) {
    port.name = *name;
    if (!IsPortName(*name)) {
      in.Problem("name", absl::StrCat("'", *name, "' is not allowed; allowed: 1 to ", kMaxPortNameChars,
                                      " letters, digits, '-' and '_'"));
    }
  } else if (!in.Has("name")) {
    in.Missing("name", "a name of your own, such as \"wan\"");
  }
  if (const auto netdev = in.String("netdev"); netdev.has_value()) {
    port.netdev = *netdev;
    if (!IsNetdevName(*netdev)) {
      in.Problem("netdev", absl::StrCat("'", *netdev, "' is not allowed; allowed: a network device's name, 1 to ",
                                        kMaxNetdevChars, " characters without spaces, '/', ':' and '%'"));
    }
  } else if (!in.Has("netdev")) {
    in.Missing("netdev", "a network device's name, such as \"eth0\"");
  }
  if (const auto down = in.OneOf("on_dataplane_down", kOnDataplaneDownWords); down.has_value()) {
    port.on_dataplane_down = static_cast<OnDataplaneDown>(*down);
  }
  in.RefuseOtherKeys();
}

void ReadPorts(TableReader& root, Problems& problems, Config& config) {
  std::map<std::string, uint32_t> names, netdevs;  // -> the line it was first on
  for (const toml::table* table : root.Tables("port")) {
    TableReader in(*table, "port", problems);
    PortConfig port;
    ReadPort(in, port);
    if (const auto [first, fresh] = names.emplace(port.name, in.Line("name")); !fresh && !port.name.empty()) {
      in.Problem("name", absl::StrCat("'", port.name, "' is taken by the port of line ", first->second));
    }
    if (const auto [first, fresh] = netdevs.emplace(port.netdev, in.Line("netdev")); !fresh && !port.netdev.empty()) {
      in.Problem("netdev", absl::StrCat("'", port.netdev, "' is taken by the port of line ", first->second));
    }
    config.ports.push_back(std::move(port));
  }
  if (config.ports.empty() && !root.Has("port")) {
    root.Missing("port", "one to four tables [[port]] with name and netdev");
  } else if (config.ports.size() > kMaxPorts) {
    root.Problem("port", absl::StrCat(config.ports.size(), " ports; at most ", kMaxPorts, " are allowed"));
  }
}

void ReadDataplane(TableReader& in, DataplaneConfig& dataplane) {
  if (const auto pairs = in.Number("queue_pairs", 1, kMaxPairLanes); pairs.has_value()) {
    dataplane.queue_pairs = *pairs;
  }
  if (const auto mode = in.OneOf("mode", kModeWords); mode.has_value()) {
    dataplane.mode = static_cast<ModeSetting>(*mode);
  }
  if (const auto cores = in.DistinctNumbers("cores", kMaxCpu); cores.has_value()) {
    dataplane.cores = *cores;
  }
  if (const auto workers = in.Number("workers", 1, kMaxWorkers); workers.has_value()) {
    dataplane.workers = *workers;
    if (!dataplane.cores.empty() && *workers > dataplane.cores.size()) {
      in.Problem("workers", absl::StrCat(*workers, " workers on ", dataplane.cores.size(),
                                         " cores; each needs a core of its own"));
    }
  }
  if (const auto poll = in.OneOf("poll", kPollWords); poll.has_value()) {
    dataplane.poll = static_cast<PollSetting>(*poll);
  }
  if (const auto offload = in.OneOf("offload", kOffloadWords); offload.has_value()) {
    dataplane.offload = static_cast<OffloadSetting>(*offload);
  }
  if (const auto flows = in.Number("offload_flows", kLeastOffloadFlows, kMostOffloadFlows); flows.has_value()) {
    dataplane.offload_flows = std::bit_ceil(*flows);
  }
  in.RefuseOtherKeys();
}

void ReadFunction(TableReader& in, size_t port_count, FunctionConfig& function) {
  if (const auto type = in.String("type"); type.has_value()) {
    const FunctionType* known = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                             [&](const FunctionType& f) { return *type == f.name; });
    if (known == std::end(kFunctions)) {
      in.Problem("type", absl::StrCat("'", *type, "' is not allowed; allowed: ", FunctionNames()));
    } else if (port_count < known->min_ports || port_count > known->max_ports) {
      in.Problem("type", absl::StrCat(*type, " takes ", known->ports, ", there are ", port_count));
    }
    function.type = *type;
  } else if (!in.Has("type")) {
    in.Missing("type", FunctionNames());
  }
  in.RefuseOtherKeys();
}

void ReadMetrics(TableReader& in, MetricsConfig& metrics) {
  if (const auto listen = in.String("listen"); listen.has_value()) {
    metrics.wanted = *listen != "off";
    metrics.listen = ParseListenAddress(*listen);
    if (metrics.wanted && !metrics.listen.has_value()) {
      in.Problem("listen", absl::StrCat("'", *listen, "' is not allowed; allowed: \"off\", or an IP address and a ",
                                        "port, such as \"127.0.0.1:9477\" or \"[::1]:9477\""));
    }
  }
  in.RefuseOtherKeys();
}

// The rule's fields as text, for the one parser of rules. Fields of a wrong type are left out.
RuleFields ReadFields(TableReader& in) {
  RuleFields fields;
  for (const RuleField& field : AllRuleFields()) {
    if (const auto value = in.Scalar(field.name); value.has_value()) {
      fields[field.name] = *value;
    }
  }
  in.RefuseOtherKeys();
  return fields;
}

void ReadRules(TableReader& root, Problems& problems, const std::vector<PortConfig>& ports,
               std::vector<RuleConfig>& rules) {
  for (const toml::table* table : root.Tables("rule")) {
    TableReader in(*table, "rule", problems);
    RuleConfig rule;
    const RuleFields fields = ReadFields(in);
    for (const RuleProblem& problem : CompileRule(fields, PortNames(ports), rule)) {
      // Of a field with a wrong type it has been said already; its absence here is not another problem.
      if (fields.count(problem.field) != 0 || !in.Has(problem.field.c_str())) {
        in.Problem(problem.field, problem.text);
      }
    }
    rules.push_back(std::move(rule));
    if (rules.size() == SLUICE_MAX_RULES + 1) {
      in.Problem("", absl::StrCat("one rule too many; at most ", SLUICE_MAX_RULES));
    }
  }
}

absl::Status ParseToml(const std::string& text, Problems& problems, toml::table& table) {
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    problems.Add(std::max<uint32_t>(1, error.source().begin.line), "",
                 absl::StrCat("not TOML: ", std::string(error.description())));
  }
  return problems.ToStatus();
}

}  // namespace

std::vector<std::string> PortNames(const std::vector<PortConfig>& ports) {
  std::vector<std::string> names;
  names.reserve(ports.size());
  for (const PortConfig& port : ports) {
    names.push_back(port.name);
  }
  return names;
}

absl::StatusOr<Config> ParseConfig(const std::string& text, const std::string& file_name) {
  Problems problems(file_name);
  toml::table table;
  if (absl::Status s = ParseToml(text, problems, table); !s.ok()) {
    return s;
  }
  Config config;
  TableReader root(table, "", problems);
  ReadPorts(root, problems, config);
  if (const toml::table* dataplane = root.Table("dataplane"); dataplane != nullptr) {
    TableReader in(*dataplane, "dataplane", problems);
    ReadDataplane(in, config.dataplane);
  }
  if (const toml::table* function = root.Table("function"); function != nullptr) {
    TableReader in(*function, "function", problems);
    ReadFunction(in, config.ports.size(), config.function);
  } else if (!root.Has("function")) {
    root.Missing("function", absl::StrCat("a table [function] with type = one of ", FunctionNames()));
  }
  if (const toml::table* metrics = root.Table("metrics"); metrics != nullptr) {
    TableReader in(*metrics, "metrics", problems);
    ReadMetrics(in, config.metrics);
  }
  ReadRules(root, problems, config.ports, config.rules);
  root.RefuseOtherKeys();

  if (absl::Status status = problems.ToStatus(); !status.ok()) {
    return status;
  }
  return config;
}

absl::StatusOr<std::vector<RuleConfig>> ParseRules(const std::string& text, const std::string& file_name,
                                                   const std::vector<PortConfig>& ports) {
  Problems problems(file_name);
  toml::table table;
  if (absl::Status s = ParseToml(text, problems, table); !s.ok()) {
    return s;
  }
  std::vector<RuleConfig> rules;
  TableReader root(table, "", problems);
  ReadRules(root, problems, ports, rules);
  root.RefuseOtherKeys();
  if (absl::Status s = problems.ToStatus(); !s.ok()) {
    return s;
  }
  return rules;
}

absl::StatusOr<std::string> ReadConfigFile(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text;
  char buffer[16 * 1024];
  ssize_t n = fd ? 1 : -1;
  while (n > 0 && text.size() <= kMaxFileBytes) {
    n = read(fd.get(), buffer, sizeof(buffer));
    if (n > 0) {
      text.append(buffer, static_cast<size_t>(n));
    } else if (n < 0 && errno == EINTR) {
      n = 1;
    }
  }
  if (n < 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat(path, ": cannot be read"));
  }
  if (text.size() > kMaxFileBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path, ":1: larger than ", kMaxFileBytes, " bytes"));
  }
  return text;
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) {
    return text.status();
  }
  return ParseConfig(*text, path);
}

}  // namespace sluice
