#include "control/config/toml_reader.h"

#include <algorithm>
#include <bit>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "dataplane/function/settings.h"

namespace sluice {
namespace {

std::string TypeName(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

// Escapes control characters: a problem is one line and does no harm on a terminal, whatever the file holds.
std::string Printable(const std::string& text) {
  std::string out;
  for (const unsigned char c : text) {
    if (c < 0x20 || c == 0x7f) {
      absl::StrAppend(&out, "\\x", absl::Hex(c, absl::kZeroPad2));
    } else {
      out.push_back(static_cast<char>(c));
    }
  }
  return out;
}

// Returns a setting's value as text; nullopt when it is of another type.
std::optional<std::string> TextOf(const toml::node& node, SettingType type) {
  switch (type) {
    case SettingType::kUnsigned:
      return node.is_integer() ? std::optional(absl::StrCat(node.as_integer()->get())) : std::nullopt;
    case SettingType::kBool:
      return node.is_boolean() ? std::optional<std::string>(node.as_boolean()->get() ? "true" : "false") : std::nullopt;
    case SettingType::kDuration:
    case SettingType::kWord:
      break;
  }
  return node.is_string() ? std::optional(node.as_string()->get()) : std::nullopt;
}

const char* TypeName(SettingType type) {
  return type == SettingType::kUnsigned ? "an integer" : type == SettingType::kBool ? "a boolean" : "a string";
}

}  // namespace

void Problems::Add(uint32_t line, const std::string& key, const std::string& text) {
  if (lines_.size() == kMost) {
    ++left_out_;
    return;
  }
  lines_.emplace_back(line,
                      absl::StrCat(file_, ":", line, ": ", Printable(key), key.empty() ? "" : ": ", Printable(text)));
}

absl::Status Problems::ToStatus() const {
  if (lines_.empty()) {
    return absl::OkStatus();
  }
  auto sorted = lines_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return absl::InvalidArgumentError(
      absl::StrCat(absl::StrJoin(sorted, "\n", [](std::string* out, const auto& line) { out->append(line.second); }),
                   left_out_ == 0 ? "" : absl::StrCat("\n", file_, ": at least ", left_out_, " more problems")));
}

const toml::node* TableReader::Find(const char* key) {
  asked_.emplace_back(key);
  return table_.get(key);
}

uint32_t TableReader::Line(const std::string& key) const {
  if (const auto found = table_.find(key); found != table_.end()) {
    return found->first.source().begin.line;
  }
  // The root table has line 0, which no editor can jump to.
  return std::max<uint32_t>(1, table_.source().begin.line);
}

void TableReader::Problem(const std::string& key, const std::string& text) {
  problems_.Add(Line(key), absl::StrCat(name_, name_.empty() || key.empty() ? "" : ".", key), text);
}

void TableReader::Missing(const char* key, const std::string& allowed) {
  Problem(key, absl::StrCat("missing; allowed: ", allowed));
}

void TableReader::WrongType(const char* key, const toml::node& node, const std::string& allowed) {
  Problem(key, absl::StrCat("must be ", allowed, ", not of type ", TypeName(node)));
}

void TableReader::NotAllowed(const char* key, const std::string& value, const std::string& allowed) {
  Problem(key, absl::StrCat(value, " is not allowed; allowed: ", allowed));
}

std::optional<KeyValue> TableReader::Key(const KeySpec& spec) {
  const toml::node* node = Find(spec.key);
  if (node == nullptr) {
    if (spec.required != nullptr) {
      Missing(spec.key, *spec.required == '\0' ? AllowedText(spec.type) : spec.required);
    }
    return std::nullopt;
  }
  if (const auto* integer = std::get_if<IntegerType>(&spec.type); integer != nullptr) {
    return Integer(spec.key, *node, *integer, AllowedText(spec.type));
  }
  if (const auto* list = std::get_if<CpuListType>(&spec.type); list != nullptr) {
    return CpuList(spec.key, *node, *list);
  }
  if (const auto* either = std::get_if<IntegerOrWordType>(&spec.type); either != nullptr && !node->is_string()) {
    return Integer(spec.key, *node, {either->least, either->most}, AllowedText(spec.type));
  }
  std::optional<std::string> text = String(spec.key, *node);
  if (!text.has_value()) {
    return std::nullopt;
  }
  if (!AllowsText(spec.type, *text)) {
    NotAllowed(spec.key, absl::StrCat("'", *text, "'"), AllowedText(spec.type));
    return std::nullopt;
  }
  return *std::move(text);
}

std::optional<std::string> TableReader::Setting(const SettingSpec& spec) {
  const toml::node* node = Find(spec.name);
  if (node == nullptr) {
    return std::nullopt;
  }
  const std::optional<std::string> text = TextOf(*node, spec.type);
  if (!text.has_value()) {
    Problem(spec.name, absl::StrCat("must be ", TypeName(spec.type), ", not of type ", TypeName(*node),
                                    "; allowed: ", AllowedValues(spec)));
    return std::nullopt;
  }
  absl::StatusOr<std::string> checked = CheckSetting(spec, *text);
  if (!checked.ok()) {
    Problem(spec.name, std::string(checked.status().message()));
    return std::nullopt;
  }
  return *std::move(checked);
}

std::optional<std::string> TableReader::String(const char* key, const toml::node& node) {
  if (!node.is_string()) {
    WrongType(key, node, "a string");
    return std::nullopt;
  }
  return node.as_string()->get();
}

std::optional<KeyValue> TableReader::Integer(const char* key, const toml::node& node, const IntegerType& type,
                                             const std::string& allowed) {
  if (!node.is_integer()) {
    WrongType(key, node, allowed);
    return std::nullopt;
  }
  const int64_t value = node.as_integer()->get();
  if (value < type.least || value > type.most) {
    NotAllowed(key, absl::StrCat(value), allowed);
    return std::nullopt;
  }
  const auto number = static_cast<uint32_t>(value);
  return type.round_up ? std::bit_ceil(number) : number;
}

std::optional<KeyValue> TableReader::CpuList(const char* key, const toml::node& node, const CpuListType& type) {
  const std::string allowed = AllowedText(type);
  if (!node.is_array()) {
    WrongType(key, node, allowed);
    return std::nullopt;
  }
  if (node.as_array()->empty()) {
    Problem(key, "an empty list is not allowed; name at least one, or leave the key out");
    return std::nullopt;
  }
  std::vector<uint32_t> cpus;
  std::set<int64_t> seen;
  for (const toml::node& element : *node.as_array()) {
    if (!element.is_integer()) {
      WrongType(key, element, allowed);
      return std::nullopt;
    }
    const int64_t value = element.as_integer()->get();
    if (value < 0 || value > type.most) {
      NotAllowed(key, absl::StrCat(value), allowed);
      return std::nullopt;
    }
    if (!seen.insert(value).second) {
      Problem(key, absl::StrCat(value, " is there twice; allowed: ", allowed));
      return std::nullopt;
    }
    cpus.push_back(static_cast<uint32_t>(value));
  }
  return cpus;
}

std::optional<std::string> TableReader::Scalar(const char* key) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  if (node->is_string()) {
    return node->as_string()->get();
  }
  if (node->is_integer()) {
    return absl::StrCat(node->as_integer()->get());
  }
  WrongType(key, *node, "a string or an integer");
  return std::nullopt;
}

const toml::table* TableReader::Table(const char* key) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return nullptr;
  }
  if (!node->is_table()) {
    WrongType(key, *node, absl::StrCat("a table, written [", key, "]"));
    return nullptr;
  }
  return node->as_table();
}

std::vector<const toml::table*> TableReader::Tables(const char* key) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return {};
  }
  const std::string allowed = absl::StrCat("a list of tables, each written [[", key, "]]");
  if (!node->is_array()) {
    WrongType(key, *node, allowed);
    return {};
  }
  std::vector<const toml::table*> tables;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_table()) {
      WrongType(key, element, allowed);
      return {};
    }
    tables.push_back(element.as_table());
  }
  return tables;
}

void TableReader::RefuseOtherKeys() {
  for (const auto& [name, value] : table_) {
    const std::string key(name.str());
    if (std::find(asked_.begin(), asked_.end(), key) == asked_.end()) {
      Problem(key, absl::StrCat("unknown key; allowed: ", absl::StrJoin(asked_, ", ")));
    }
  }
}

}  // namespace sluice
