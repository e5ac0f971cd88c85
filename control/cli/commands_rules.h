// The verbs of steering rules and the blocklist, through the agent. `file`: a path, or "-" for standard input. One
// thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_RULES_H_
#define SLUICE_CONTROL_CLI_COMMANDS_RULES_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "control/cli/commands.h"

namespace sluice::cli {

ExitCode RunRules(const Context& context);
// `before`: the id of the rule that will follow the new one; 0: the new one is the last.
ExitCode RunAddRule(const Context& context, const std::map<std::string, std::string>& fields, uint32_t before);
ExitCode RunDeleteRules(const Context& context, const std::vector<uint32_t>& ids);
ExitCode RunReplaceRules(const Context& context, const std::string& file);
// `address`: one to look up; empty: only the number of prefixes.
ExitCode RunBlocklist(const Context& context, const std::string& address);
ExitCode RunBlock(const Context& context, const std::vector<std::string>& prefixes);
ExitCode RunUnblock(const Context& context, const std::vector<std::string>& prefixes);
ExitCode RunReplaceBlocklist(const Context& context, const std::string& file);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_RULES_H_
