// The verbs of steering rules, blocklist and allow-list, through the agent. `file`: a path, or "-" for standard input.
// One thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_RULES_H_
#define SLUICE_CONTROL_CLI_COMMANDS_RULES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "control/cli/commands.h"

namespace sluice::cli {

ExitCode RunRules(const Context& context);
// `before`: the id of the rule that will follow the new one; 0: the new one is the last.
ExitCode RunAddRule(const Context& context, const std::map<std::string, std::string>& fields, uint32_t before);
ExitCode RunDeleteRules(const Context& context, const std::vector<uint32_t>& ids);
ExitCode RunReplaceRules(const Context& context, const std::string& file);
// Which list of sources to change, and what to take although it looks wrong.
struct ListChange {
  bool allow = false;  // the allow-list
  bool force = false;
  bool allow_empty = false;
  uint32_t min_entries = 0;
  std::optional<absl::Duration> confirm;
};

// `address`: one to look up; empty: only the number of prefixes.
ExitCode RunList(const Context& context, bool allow, const std::string& address);
ExitCode RunAddToList(const Context& context, const ListChange& change, const std::vector<std::string>& prefixes);
ExitCode RunRemoveFromList(const Context& context, const ListChange& change, const std::vector<std::string>& prefixes);
ExitCode RunReplaceList(const Context& context, const ListChange& change, const std::string& file);
// Ends the waiting of a change that --confirm made.
ExitCode RunConfirmList(const Context& context, bool allow);
ExitCode RunRollBackList(const Context& context, bool allow);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_RULES_H_
