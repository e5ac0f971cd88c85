// The documentation of the configuration's keys, made from their tables: sluice.toml(5) and the tables in README.md.
// Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_KEY_DOCS_H_
#define SLUICE_CONTROL_CONFIG_KEY_DOCS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "control/config/keys.h"
#include "dataplane/function/descriptor.h"

namespace sluice {

// A key as the documentation shows it.
struct KeyDoc {
  std::string table;
  std::string key;
  std::vector<KeyWord> words;  // every value it takes; empty: `values` says it
  std::string values;          // in words
  std::string standard;        // its value when it is left out; "": it is required
  bool live = false;           // false: a change needs a restart
  std::string help;
};

// Returns the keys of all tables, in the order of the documentation, save the functions' own.
std::vector<KeyDoc> KeyDocs();
// Returns a function's own keys of [function].
std::vector<KeyDoc> SettingDocs(const FunctionDescriptor& function);

// Returns sluice.toml(5) in the macros of groff_man(7). `example`: the text of sluice.toml.example.
std::string ManPage(const std::string& version, const std::string& example);
// Returns Markdown that ends with a newline: a table of all keys, then a section for each function.
std::string ReadmeTables();
// Returns the README with ReadmeTables() in the place of the text between its two marker lines. InvalidArgument when
// they are not there.
absl::StatusOr<std::string> WithReadmeTables(const std::string& readme);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_KEY_DOCS_H_
