// The command line of the functions' commands: a verb for each command, an option for each of its arguments, all made
// of descriptors. One thread.
#ifndef SLUICE_CONTROL_CLI_FUNCTION_VERBS_H_
#define SLUICE_CONTROL_CLI_FUNCTION_VERBS_H_

#include <map>
#include <span>
#include <string>

#include <CLI/CLI.hpp>

#include "dataplane/function/descriptor.h"
#include "dataplane/function/settings.h"

namespace sluice::cli {

// Adds below `function` a verb for each command that any of the descriptors has, and returns them by the command's
// name. Functions may have a command or an argument of the same name: then every value is taken that one of them takes,
// since the agent alone knows which function runs, and checks again. `typed` gets the arguments by command; an empty
// one was not given. It must outlive the verbs, and the descriptors must, too.
std::map<std::string, CLI::App*> AddFunctionVerbs(CLI::App& function,
                                                  std::span<const FunctionDescriptor* const> descriptors,
                                                  std::map<std::string, SettingTexts>& typed);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_FUNCTION_VERBS_H_
