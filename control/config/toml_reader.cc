#include "control/config/toml_reader.h"

#include <algorithm>
#include <set>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace {

std::string TypeName(const toml::node& node) {
  std::ostringstream out;
  out << node.type();
  return out.str();
}

// A problem stays one line, and harmless on a terminal, whatever the file holds.
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

bool InRange(int64_t value, uint32_t min, uint32_t max) {
  return value >= min && value <= max;
}

}  // namespace

void Problems::Add(uint32_t line, const std::string& key, const std::string& text) {
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
      absl::StrJoin(sorted, "\n", [](std::string* out, const auto& line) { out->append(line.second); }));
}

const toml::node* TableReader::Find(const char* key) {
  asked_.emplace_back(key);
  return table_.get(key);
}

uint32_t TableReader::Line(const std::string& key) const {
  for (const auto& [name, value] : table_) {
    if (name.str() == key) {
      return name.source().begin.line;
    }
  }
  // The root table begins nowhere: line 0 would send an editor astray.
  return std::max<uint32_t>(1, table_.source().begin.line);
}

void TableReader::Problem(const std::string& key, const std::string& text) {
  problems_.Add(Line(key), absl::StrCat(name_, name_.empty() || key.empty() ? "" : ".", key), text);
}

void TableReader::Missing(const char* key, const std::string& allowed) {
  Problem(key, absl::StrCat("missing; allowed: ", allowed));
}

void TableReader::WrongType(const char* key, const toml::node& node, const char* allowed) {
  Problem(key, absl::StrCat("must be ", allowed, ", not of type ", TypeName(node)));
}

std::optional<std::string> TableReader::String(const char* key) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  if (!node->is_string()) {
    WrongType(key, *node, "a string");
    return std::nullopt;
  }
  return node->as_string()->get();
}

std::optional<uint32_t> TableReader::Number(const char* key, uint32_t min, uint32_t max) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  const std::string allowed = absl::StrCat("an integer ", min, "..", max);
  if (!node->is_integer()) {
    WrongType(key, *node, allowed.c_str());
    return std::nullopt;
  }
  const int64_t value = node->as_integer()->get();
  if (!InRange(value, min, max)) {
    Problem(key, absl::StrCat(value, " is not allowed; allowed: ", allowed));
    return std::nullopt;
  }
  return static_cast<uint32_t>(value);
}

std::optional<std::vector<uint32_t>> TableReader::DistinctNumbers(const char* key, uint32_t max) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return std::nullopt;
  }
  const std::string allowed = absl::StrCat("a list of different integers 0..", max);
  if (!node->is_array()) {
    WrongType(key, *node, allowed.c_str());
    return std::nullopt;
  }
  if (node->as_array()->empty()) {
    Problem(key, "an empty list is not allowed; name at least one, or leave the key out");
    return std::nullopt;
  }
  std::vector<uint32_t> values;
  std::set<int64_t> seen;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_integer()) {
      WrongType(key, element, allowed.c_str());
      return std::nullopt;
    }
    const int64_t value = element.as_integer()->get();
    if (!InRange(value, 0, max)) {
      Problem(key, absl::StrCat(value, " is not allowed; allowed: ", allowed));
      return std::nullopt;
    }
    if (!seen.insert(value).second) {
      Problem(key, absl::StrCat(value, " is there twice; allowed: ", allowed));
      return std::nullopt;
    }
    values.push_back(static_cast<uint32_t>(value));
  }
  return values;
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

std::optional<size_t> TableReader::OneOf(const char* key, absl::Span<const KeyWord> allowed) {
  const std::optional<std::string> text = String(key);
  if (!text.has_value()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < allowed.size(); ++i) {
    if (*text == allowed[i].word) {
      return i;
    }
  }
  Problem(key, absl::StrCat("'", *text, "' is not allowed; allowed: ",
                            absl::StrJoin(allowed, ", ",
                                          [](std::string* out, const KeyWord& word) { out->append(word.word); })));
  return std::nullopt;
}

const toml::table* TableReader::Table(const char* key) {
  const toml::node* node = Find(key);
  if (node == nullptr) {
    return nullptr;
  }
  if (!node->is_table()) {
    WrongType(key, *node, absl::StrCat("a table, written [", key, "]").c_str());
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
    WrongType(key, *node, allowed.c_str());
    return {};
  }
  std::vector<const toml::table*> tables;
  for (const toml::node& element : *node->as_array()) {
    if (!element.is_table()) {
      WrongType(key, element, allowed.c_str());
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
