// The table of configuration keys. Parser, diff, canonical text, sluice.toml(5), the table in README.md and the plan
// of a live change are loops over it: a new key is a member in config.h and an element in keys.cc.
//
// Two kinds of keys are in other tables: the fields of a [[rule]] (control/rules/rule.h), and each network function's
// keys of [function] (dataplane/function/descriptor.h, read by function_settings.h). Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_KEYS_H_
#define SLUICE_CONTROL_CONFIG_KEYS_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "control/config/config.h"
#include "control/config/config_step.h"

namespace sluice {

// A key's value as it is in TOML. monostate: the key is left out.
using KeyValue = std::variant<std::monostate, uint32_t, std::string, std::vector<uint32_t>>;

struct KeyWord {
  const char* word;
  const char* meaning;  // "" when the word says it all
};

// The types of a key, each with the values it allows.
struct IntegerType {
  uint32_t least;
  uint32_t most;
  bool round_up = false;  // to a power of two
};
struct IntegerOrWordType {
  uint32_t least;
  uint32_t most;
  const char* word;
};
struct CpuListType {  // different integers
  uint32_t most;
};
struct WordType {
  std::vector<KeyWord> (*words)();
};
struct TextType {
  bool (*allows)(const std::string& text);
  const char* allowed;  // in words
};
using KeyType = std::variant<IntegerType, IntegerOrWordType, CpuListType, WordType, TextType>;

// Copies between a Config and a KeyValue. `port`: index of the port for keys of [[port]]; others ignore it.
struct KeyMember {
  KeyValue (*get)(const Config& config, size_t port);
  void (*set)(Config& config, size_t port, const KeyValue& value);  // the value is one that the type allows
};

struct KeySpec {
  const char* table;  // a name of AllTables()
  const char* key;
  KeyType type;
  const char* required = nullptr;  // for a key that must be there: a value to try, in words; "": any allowed one
  const char* unset = nullptr;     // the meaning of leaving it out, for keys whose member has no value then
  ChangeBy change;
  const char* help;  // sentences
  KeyMember member;
};

struct TableSpec {
  const char* name;
  bool many;         // written [[name]], any number of times
  const char* help;  // sentences
};

// Returns the tables in the order of the documentation.
absl::Span<const TableSpec> AllTables();
absl::Span<const KeySpec> AllKeys();
const TableSpec& FindTable(const std::string& name);                       // it must exist
const KeySpec& FindKey(const std::string& table, const std::string& key);  // it must exist

// Returns the allowed values in words: "an integer 1..64", "pass, drop, hold".
std::string AllowedText(const KeyType& type);
// Returns true if the type is one of text, and allows this text.
bool AllowsText(const KeyType& type, const std::string& text);
// Returns the value as diffs show it: "2", "[0, 1]", "copy"; the key's `unset` when it is left out.
std::string ValueText(const KeySpec& key, const KeyValue& value);
// Returns the value of a key that is left out, as ValueText; "" for a required key.
std::string DefaultText(const KeySpec& key);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_KEYS_H_
