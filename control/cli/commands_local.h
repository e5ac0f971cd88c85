// The verbs that need no agent: `doctor --config` and `config check`. One thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_LOCAL_H_
#define SLUICE_CONTROL_CLI_COMMANDS_LOCAL_H_

#include <string>

#include "control/cli/commands.h"

namespace sluice::cli {

// `port`: the name or netdev of one of the configuration's ports; empty: all of them.
ExitCode RunLocalDoctor(const Context& context, const std::string& config_path, const std::string& port);
ExitCode RunConfigCheck(const Context& context, const std::string& config_path);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_LOCAL_H_
