#include "control/config/function_settings.h"

#include <optional>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "control/config/config_step.h"

namespace sluice {

SettingTexts ReadSettings(TableReader& in, std::span<const SettingSpec> specs) {
  SettingTexts settings;
  for (const SettingSpec& spec : specs) {
    const std::optional<std::string> given = in.Setting(spec);
    // CheckSetting gives the default its canonical text.
    const absl::StatusOr<std::string> value =
        given.has_value() ? absl::StatusOr<std::string>(*given) : CheckSetting(spec, spec.default_text);
    settings[spec.name] = value.ok() ? *value : spec.default_text;
  }
  return settings;
}

std::vector<ConfigChange> CompareSettings(std::span<const SettingSpec> specs, const SettingTexts& before,
                                          const SettingTexts& after) {
  std::vector<ConfigChange> changes;
  for (const SettingSpec& spec : specs) {
    const std::string &was = before.at(spec.name), &is = after.at(spec.name);
    if (was != is) {
      changes.push_back({absl::StrCat("function.", spec.name), was, is,
                         spec.live ? ChangeBy::Live(ConfigStep::kFunction) : ChangeBy::Restart()});
    }
  }
  return changes;
}

void InsertSettings(std::span<const SettingSpec> specs, const SettingTexts& settings, toml::table& function) {
  for (const SettingSpec& spec : specs) {
    const std::string& text = settings.at(spec.name);
    if (int64_t number = 0; spec.type == SettingType::kUnsigned && absl::SimpleAtoi(text, &number)) {
      function.insert(spec.name, number);
    } else if (spec.type == SettingType::kBool) {
      function.insert(spec.name, text == "true");
    } else {
      function.insert(spec.name, text);
    }
  }
}

}  // namespace sluice
