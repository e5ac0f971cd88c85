// Settings: the values of a function's keys, or of a command's arguments, checked against their specs.
//
// Text is the form they are written, compared and sent in. Both sides of the contract check it by the functions here:
// the agent what the user wrote, the dataplane what the agent sends. Pure; any thread.
#ifndef SLUICE_DATAPLANE_FUNCTION_SETTINGS_H_
#define SLUICE_DATAPLANE_FUNCTION_SETTINGS_H_

#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "dataplane/function/descriptor.h"

namespace sluice {

// Name -> text.
using SettingTexts = std::map<std::string, std::string>;

// The range or the words that a value may have, as errors and manuals show them: "1 to 65536", "fast or exact".
std::string AllowedValues(const SettingSpec& spec);

// The value's canonical text: equal values have equal texts. InvalidArgument with the allowed values.
absl::StatusOr<std::string> CheckSetting(const SettingSpec& spec, absl::string_view text);

class Settings {
 public:
  // `given` completed by the defaults. InvalidArgument for an unknown name, which lists the known ones, or a bad value.
  static absl::StatusOr<Settings> Read(std::span<const SettingSpec> specs, const SettingTexts& given);

  // The name must be that of a spec of this type.
  uint64_t Unsigned(absl::string_view name) const { return values_.at(std::string(name)); }
  absl::Duration Duration(absl::string_view name) const {
    return absl::Nanoseconds(static_cast<int64_t>(values_.at(std::string(name))));
  }
  bool Bool(absl::string_view name) const { return values_.at(std::string(name)) != 0; }
  // Its place among the spec's words.
  uint32_t Word(absl::string_view name) const { return static_cast<uint32_t>(values_.at(std::string(name))); }

  // All of them, in canonical text.
  const SettingTexts& texts() const { return texts_; }

 private:
  std::map<std::string, uint64_t> values_;
  SettingTexts texts_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_SETTINGS_H_
