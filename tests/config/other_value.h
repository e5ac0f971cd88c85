// Makes other values of keys, for tests that loop over the table of keys.
#ifndef SLUICE_TESTS_CONFIG_OTHER_VALUE_H_
#define SLUICE_TESTS_CONFIG_OTHER_VALUE_H_

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "control/config/config.h"
#include "control/config/keys.h"
#include "dataplane/functions/catalog.h"

namespace sluice {

// Returns a configuration with two ports and a function that works on two.
inline Config TwoPortConfig() {
  std::string text =
      "[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[[port]]\nname = \"lan\"\nnetdev = \"eth2\"\n[function]\n";
  for (const FunctionDescriptor* function : Functions()) {
    if (CheckPortCount(*function, 2).ok()) {
      text += std::string("type = \"") + function->name + "\"\n";
      break;
    }
  }
  const absl::StatusOr<Config> config = ParseConfig(text, "f");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Config();
}

// Returns a value that the key allows, other than `value`. Fails for a text key that it has no example for.
inline KeyValue OtherValue(const KeySpec& spec, const KeyValue& value) {
  if (const auto* integer = std::get_if<IntegerType>(&spec.type); integer != nullptr) {
    return value == KeyValue(integer->most) ? integer->least : integer->most;
  }
  if (const auto* either = std::get_if<IntegerOrWordType>(&spec.type); either != nullptr) {
    return value == KeyValue(either->word) ? KeyValue(either->most) : KeyValue(either->word);
  }
  if (std::holds_alternative<CpuListType>(spec.type)) {
    return std::vector<uint32_t>{7, 3};
  }
  if (const auto* one = std::get_if<WordType>(&spec.type); one != nullptr) {
    for (const KeyWord& word : one->words()) {
      const FunctionDescriptor* function = FindFunction(word.word);
      const bool fits = function == nullptr || CheckPortCount(*function, 2).ok();
      if (fits && value != KeyValue(word.word)) {
        return word.word;
      }
    }
  }
  for (const char* text : {"other9", "[::1]:9000", "/other9"}) {
    if (AllowsText(spec.type, text) && value != KeyValue(text)) {
      return text;
    }
  }
  ADD_FAILURE() << "no other value for " << spec.table << "." << spec.key;
  return value;
}

// Returns the configuration with another value of the key.
inline Config WithOtherValue(const KeySpec& spec, const Config& config) {
  Config other = config;
  spec.member.set(other, 0, OtherValue(spec, spec.member.get(config, 0)));
  if (const FunctionDescriptor* function = FindFunction(other.function.type);
      other.function.type != config.function.type) {
    other.function.settings = Settings::Read(function->settings, {})->texts();
  }
  return other;
}

}  // namespace sluice

#endif  // SLUICE_TESTS_CONFIG_OTHER_VALUE_H_
