// The verbs `sluicectl function …`: the network function, and the commands of its descriptor. One thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_FUNCTION_H_
#define SLUICE_CONTROL_CLI_COMMANDS_FUNCTION_H_

#include <map>
#include <string>

#include "control/cli/commands.h"

namespace sluice::cli {

// Prints settings, counters and commands.
ExitCode RunFunction(const Context& context);
// Asks for all pages of the answer and prints them. Empty arguments were not given.
ExitCode RunFunctionCommand(const Context& context, const std::string& command,
                            const std::map<std::string, std::string>& arguments);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_FUNCTION_H_
