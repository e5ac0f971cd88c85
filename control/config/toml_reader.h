// Reads one table of a TOML file key by key, and collects every problem with its line. The types and values that a key
// allows are in keys.h. One thread.
#ifndef SLUICE_CONTROL_CONFIG_TOML_READER_H_
#define SLUICE_CONTROL_CONFIG_TOML_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "absl/status/status.h"
#include "control/config/keys.h"
#include "dataplane/function/descriptor.h"

namespace sluice {

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  // `key` is empty for a problem of the whole line. Keeps the first kMost, and counts the others.
  void Add(uint32_t line, const std::string& key, const std::string& text);
  // InvalidArgument with a line for each problem, in the order of the file; OK when there is none.
  absl::Status ToStatus() const;

 private:
  static constexpr size_t kMost = 100;  // more than anybody reads

  std::string file_;
  size_t left_out_ = 0;
  std::vector<std::pair<uint32_t, std::string>> lines_;  // line number, and the problem as users read it
};

// Each getter returns the value; nullopt when the key is absent, or when the value is not allowed, which becomes a
// problem. Borrows the table and the problems.
class TableReader {
 public:
  // `name` stands before the keys in problems: "port" makes "port.netdev".
  TableReader(const toml::table& table, std::string name, Problems& problems)
      : table_(table), name_(std::move(name)), problems_(problems) {}

  // An absent key that is required is a problem, too.
  std::optional<KeyValue> Key(const KeySpec& spec);
  // Returns the canonical text of a function's setting.
  std::optional<std::string> Setting(const SettingSpec& spec);
  // Returns a string or an integer, as text.
  std::optional<std::string> Scalar(const char* key);
  const toml::table* Table(const char* key);
  // Returns the elements of [[key]], none when it is absent.
  std::vector<const toml::table*> Tables(const char* key);

  // Adds a problem of one key: at its line, or at the table's when it is absent.
  void Problem(const std::string& key, const std::string& text);
  void Missing(const char* key, const std::string& allowed);
  // Adds a problem for every key that no getter was called for.
  void RefuseOtherKeys();

  bool Has(const char* key) const { return table_.contains(key); }
  uint32_t Line(const std::string& key) const;

 private:
  const toml::node* Find(const char* key);
  void WrongType(const char* key, const toml::node& node, const std::string& allowed);
  void NotAllowed(const char* key, const std::string& value, const std::string& allowed);
  std::optional<std::string> String(const char* key, const toml::node& node);
  std::optional<KeyValue> Integer(const char* key, const toml::node& node, const IntegerType& type,
                                  const std::string& allowed);
  std::optional<KeyValue> CpuList(const char* key, const toml::node& node, const CpuListType& type);

  const toml::table& table_;
  std::string name_;
  Problems& problems_;
  std::vector<std::string> asked_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_TOML_READER_H_
