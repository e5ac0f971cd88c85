// Reads one table of a TOML file key by key, and remembers every problem with its line. Used by config.cc
// alone; what the keys mean is offloaded there.
#ifndef SLUICE_CONTROL_CONFIG_TOML_READER_H_
#define SLUICE_CONTROL_CONFIG_TOML_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <toml++/toml.h>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "control/config/keys.h"

namespace sluice {

class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  // `key` is empty for a problem of the whole line.
  void Add(uint32_t line, const std::string& key, const std::string& text);
  // InvalidArgument with a line for each problem, in the file's order; OK when there is none.
  absl::Status ToStatus() const;

 private:
  std::string file_;
  std::vector<std::pair<uint32_t, std::string>> lines_;  // by line number
};

// Each getter returns the value, or nullopt when the key is absent or its value is a problem, which is then
// remembered. Borrows the table and the problems.
class TableReader {
 public:
  // `name` is what stands before a key in a problem: "port" makes "port.netdev".
  TableReader(const toml::table& table, std::string name, Problems& problems)
      : table_(table), name_(std::move(name)), problems_(problems) {}

  std::optional<std::string> String(const char* key);
  std::optional<uint32_t> Number(const char* key, uint32_t min, uint32_t max);
  std::optional<std::vector<uint32_t>> DistinctNumbers(const char* key, uint32_t max);
  // A string or a number, as text.
  std::optional<std::string> Scalar(const char* key);
  // The index of the value in `allowed`.
  std::optional<size_t> OneOf(const char* key, absl::Span<const KeyWord> allowed);
  const toml::table* Table(const char* key);
  // The elements of [[key]], none when it is absent.
  std::vector<const toml::table*> Tables(const char* key);

  // Remembers a problem of one key: at its line, or at the table's when it is absent.
  void Problem(const std::string& key, const std::string& text);
  void Missing(const char* key, const std::string& allowed);
  // Every key that no getter was asked for is a problem.
  void RefuseOtherKeys();

  bool Has(const char* key) const { return table_.contains(key); }
  uint32_t Line(const std::string& key) const;

 private:
  const toml::node* Find(const char* key);
  void WrongType(const char* key, const toml::node& node, const char* allowed);

  const toml::table& table_;
  std::string name_;
  Problems& problems_;
  std::vector<std::string> asked_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_TOML_READER_H_
