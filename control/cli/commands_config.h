// The verbs `config diff`, `apply`, `confirm` and `rollback`, through the agent, which parses the text as `config
// check` does (commands_local.h). One thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_CONFIG_H_
#define SLUICE_CONTROL_CLI_COMMANDS_CONFIG_H_

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "control/cli/commands.h"

namespace sluice::cli {

ExitCode RunConfigDiff(const Context& context, const std::string& config_path);
// Applies the file: final at once, or to be confirmed within `confirm`.
ExitCode RunConfigApply(const Context& context, const std::string& config_path, std::optional<absl::Duration> confirm);
ExitCode RunConfigConfirm(const Context& context);
ExitCode RunConfigRollback(const Context& context);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_CONFIG_H_
