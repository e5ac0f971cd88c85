#include "control/config/config_text.h"

#include <sstream>
#include <utility>
#include <variant>
#include <vector>

#include <toml++/toml.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "control/config/function_settings.h"
#include "control/config/keys.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

void Insert(toml::table& table, const char* key, const KeyValue& value) {
  if (const auto* number = std::get_if<uint32_t>(&value); number != nullptr) {
    table.insert(key, static_cast<int64_t>(*number));
  } else if (const auto* text = std::get_if<std::string>(&value); text != nullptr) {
    table.insert(key, *text);
  } else if (const auto* numbers = std::get_if<std::vector<uint32_t>>(&value); numbers != nullptr) {
    toml::array array;
    for (const uint32_t one : *numbers) {
      array.push_back(static_cast<int64_t>(one));
    }
    table.insert(key, std::move(array));
  }
}

toml::table KeysTable(const char* table, const Config& config, size_t port) {
  toml::table out;
  for (const KeySpec& spec : AllKeys()) {
    if (absl::string_view(spec.table) == table) {
      Insert(out, spec.key, spec.member.get(config, port));
    }
  }
  return out;
}

}  // namespace

std::string RuleText(const RuleFields& fields) {
  const auto action = fields.find("action");
  return absl::StrCat(MatchText(fields), " -> ", action == fields.end() ? "" : action->second);
}

std::string ToToml(const Config& config) {
  toml::table root;
  toml::array ports;
  for (size_t port = 0; port < config.ports.size(); ++port) {
    ports.push_back(KeysTable("port", config, port));
  }
  root.insert("port", std::move(ports));
  for (const TableSpec& spec : AllTables()) {
    toml::table table = spec.many ? toml::table() : KeysTable(spec.name, config, 0);
    if (!table.empty()) {
      root.insert(spec.name, std::move(table));
    }
  }
  if (const FunctionDescriptor* function = FindFunction(config.function.type); function != nullptr) {
    InsertSettings(function->settings, config.function.settings, *root["function"].as_table());
  }
  if (!config.rules.empty()) {
    toml::array rules;
    for (const RuleConfig& rule : config.rules) {
      toml::table table;
      for (const auto& [field, value] : rule.fields) {
        table.insert(field, value);
      }
      rules.push_back(std::move(table));
    }
    root.insert("rule", std::move(rules));
  }
  std::ostringstream text;
  text << root << "\n";
  return text.str();
}

}  // namespace sluice
