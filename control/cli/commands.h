// What each verb does: ask, print, and the exit code. The command tree that leads here is in main.cc.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_H_
#define SLUICE_CONTROL_CLI_COMMANDS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "control/cli/exit_code.h"
#include "control/cli/table.h"

namespace sluice::cli {

// What every verb knows.
struct Context {
  std::string socket_path;
  bool json = false;
  Style style;
};

struct SetQueues {
  uint32_t count = 0;
  std::string method;  // empty: the agent's choice
  bool dry_run = false;
  bool force = false;
  std::optional<absl::Duration> timeout;  // nullopt: the agent's own bound
};

// Through the agent (commands.cc). `port`: its name or netdev; empty: all ports.
ExitCode RunStatus(const Context& context);
ExitCode RunQueues(const Context& context, const std::string& port);
ExitCode RunSetQueues(const Context& context, const SetQueues& wanted);
ExitCode RunWorkers(const Context& context);
ExitCode RunSetWorkers(const Context& context, uint32_t count);
// Once, or every `interval` until interrupted or the agent goes.
ExitCode RunStats(const Context& context, std::optional<absl::Duration> interval);
ExitCode RunDoctor(const Context& context, const std::string& port);

// Rules and the blocklist, through the agent (commands_rules.cc). `file`: a path, or "-" for the standard input.
ExitCode RunRules(const Context& context);
ExitCode RunAddRule(const Context& context, const std::map<std::string, std::string>& fields, uint32_t before);
ExitCode RunDeleteRules(const Context& context, const std::vector<uint32_t>& ids);
ExitCode RunReplaceRules(const Context& context, const std::string& file);
// `address`: whether that one is blocked; empty: only how many prefixes there are.
ExitCode RunBlocklist(const Context& context, const std::string& address);
ExitCode RunBlock(const Context& context, const std::vector<std::string>& prefixes);
ExitCode RunUnblock(const Context& context, const std::vector<std::string>& prefixes);
ExitCode RunReplaceBlocklist(const Context& context, const std::string& file);

// Through the agent, too (commands_config.cc).
ExitCode RunConfigDiff(const Context& context, const std::string& config_path);
// Final, or to be confirmed within `confirm`.
ExitCode RunConfigApply(const Context& context, const std::string& config_path, std::optional<absl::Duration> confirm);
ExitCode RunConfigConfirm(const Context& context);
ExitCode RunConfigRollback(const Context& context);

// Without an agent (commands_local.cc).
ExitCode RunLocalDoctor(const Context& context, const std::string& config_path, const std::string& port);
ExitCode RunConfigCheck(const Context& context, const std::string& config_path);

// To stderr, as "sluicectl: TEXT".
void PrintError(const std::string& text);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_H_
