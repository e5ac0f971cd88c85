// Reads, compares and writes the keys of [function] that are the function's own: its descriptor lists them
// (dataplane/function/descriptor.h). Pure; any thread.
#ifndef SLUICE_CONTROL_CONFIG_FUNCTION_SETTINGS_H_
#define SLUICE_CONTROL_CONFIG_FUNCTION_SETTINGS_H_

#include <span>
#include <vector>

#include <toml++/toml.h>

#include "control/config/config.h"
#include "control/config/config_diff.h"
#include "control/config/toml_reader.h"
#include "dataplane/function/descriptor.h"

namespace sluice {

// Returns a value for each spec: the file's, or the default. Bad values become problems of `in`.
SettingTexts ReadSettings(TableReader& in, std::span<const SettingSpec> specs);

// Returns the settings that differ. `specs`: those of the function that both have.
std::vector<ConfigChange> CompareSettings(std::span<const SettingSpec> specs, const SettingTexts& before,
                                          const SettingTexts& after);

// Adds the settings to [function] in the types that ReadSettings() expects.
void InsertSettings(std::span<const SettingSpec> specs, const SettingTexts& settings, toml::table& function);

}  // namespace sluice

#endif  // SLUICE_CONTROL_CONFIG_FUNCTION_SETTINGS_H_
