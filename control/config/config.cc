#include "control/config/config.h"

#include <algorithm>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "control/config/function_settings.h"
#include "control/config/keys.h"
#include "control/config/toml_reader.h"
#include "control/config/toml_shape.h"
#include "dataplane/base/whole_file.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

// Reads the keys of one table into their members. Keys that are absent or not allowed leave their member as it is.
void ReadKeys(TableReader& in, const char* table, Config& config, size_t port) {
  for (const KeySpec& spec : AllKeys()) {
    if (absl::string_view(spec.table) == table) {
      if (const std::optional<KeyValue> value = in.Key(spec); value.has_value()) {
        spec.member.set(config, port, *value);
      }
    }
  }
}

// Remembers which value was on which line, and makes a problem of one that comes twice.
class UniqueValues {
 public:
  explicit UniqueValues(const char* key) : key_(key) {}

  void Add(TableReader& in, const std::string& value) {
    const auto [first, fresh] = lines_.emplace(value, in.Line(key_));
    if (!fresh && !value.empty()) {
      in.Problem(key_, absl::StrCat("'", value, "' is taken by the port of line ", first->second));
    }
  }

 private:
  const char* key_;
  std::map<std::string, uint32_t> lines_;
};

void ReadPorts(TableReader& root, Problems& problems, Config& config) {
  UniqueValues names("name"), netdevs("netdev");
  const std::vector<const toml::table*> tables = root.Tables("port");
  if (tables.size() > kMaxPorts) {
    root.Problem("port", absl::StrCat(tables.size(), " ports; at most ", kMaxPorts, " are allowed"));
  }
  for (const toml::table* table : tables) {
    if (config.ports.size() > kMaxPorts) {
      break;
    }
    TableReader in(*table, "port", problems);
    config.ports.emplace_back();
    ReadKeys(in, "port", config, config.ports.size() - 1);
    in.RefuseOtherKeys();
    names.Add(in, config.ports.back().name);
    netdevs.Add(in, config.ports.back().netdev);
  }
  if (config.ports.empty() && !root.Has("port")) {
    root.Missing("port", "one to four tables [[port]] with name and netdev");
  }
}

void CheckWorkers(TableReader& in, const DataplaneConfig& dataplane) {
  if (dataplane.workers.has_value() && !dataplane.cores.empty() && *dataplane.workers > dataplane.cores.size()) {
    in.Problem("workers", absl::StrCat(*dataplane.workers, " workers on ", dataplane.cores.size(),
                                       " cores; each needs a core of its own"));
  }
}

void CheckBounds(TableReader& in, const DataplaneConfig& dataplane) {
  if (dataplane.queue_pairs_min > dataplane.queue_pairs_max.value_or(kMaxPairLanes)) {
    in.Problem("queue_pairs_min",
               absl::StrCat(dataplane.queue_pairs_min, " is more than queue_pairs_max = ", *dataplane.queue_pairs_max));
  }
}

void ReadSettingsOf(const FunctionDescriptor& function, TableReader& in, Config& config) {
  if (absl::Status s = CheckPortCount(function, config.ports.size()); !s.ok()) {
    in.Problem("type", std::string(s.message()));
  }
  config.function.settings = ReadSettings(in, function.settings);
}

// Reads the tables that a file has at most once.
void ReadSingleTables(TableReader& root, Problems& problems, Config& config) {
  for (const TableSpec& spec : AllTables()) {
    const toml::table* table = spec.many ? nullptr : root.Table(spec.name);
    if (table == nullptr) {
      continue;
    }
    TableReader in(*table, spec.name, problems);
    ReadKeys(in, spec.name, config, 0);
    if (&spec == &FindTable("dataplane")) {
      CheckWorkers(in, config.dataplane);
      CheckBounds(in, config.dataplane);
    } else if (&spec == &FindTable("function")) {
      const FunctionDescriptor* function = FindFunction(config.function.type);
      if (function == nullptr) {
        continue;  // That is a problem already, and no other key can be judged without it.
      }
      ReadSettingsOf(*function, in, config);
    }
    in.RefuseOtherKeys();
  }
  if (!root.Has("function")) {
    root.Missing("function", absl::StrCat("a table [function] with type = one of ", FunctionNames()));
  }
}

// Returns the rule's fields as text, for the parser in control/rules/rule.h. Fields of a wrong type are left out.
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
      // A field of a wrong type is a problem already; that it is missing here is not a second one.
      if (fields.count(problem.field) != 0 || !in.Has(problem.field.c_str())) {
        in.Problem(problem.field, problem.text);
      }
    }
    rules.push_back(std::move(rule));
    if (rules.size() == SLUICE_MAX_RULES + 1) {
      in.Problem("", absl::StrCat("one rule too many; at most ", SLUICE_MAX_RULES));
      return;
    }
  }
}

absl::Status ParseToml(const std::string& text, Problems& problems, toml::table& table) {
  if (text.size() > kMaxConfigBytes) {  // text of a request, which may be longer than a file
    problems.Add(1, "", absl::StrCat("larger than ", kMaxConfigBytes, " bytes"));
    return problems.ToStatus();
  }
  if (const std::optional<ShapeProblem> problem = FindShapeProblem(text); problem.has_value()) {
    problems.Add(problem->line, "", problem->text);
    return problems.ToStatus();
  }
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

std::string NoSuchPort(const std::string& name, absl::Span<const std::string> names) {
  return absl::StrCat("no port ", name, "; there are: ", absl::StrJoin(names, ", "));
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
  ReadSingleTables(root, problems, config);
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
  return ReadWholeFile(path, kMaxConfigBytes);
}

absl::StatusOr<Config> LoadConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadConfigFile(path);
  if (!text.ok()) {
    return text.status();
  }
  return ParseConfig(*text, path);
}

}  // namespace sluice
