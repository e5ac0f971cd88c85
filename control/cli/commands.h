// The verbs that look at the running network function and resize it, through the agent: status, queues, workers, stats,
// doctor. Also the exit codes and options that all verbs share: each verb asks, prints, and returns the exit code. The
// command tree that leads here is in main.cc; other verbs are in commands_config.h, commands_function.h,
// commands_local.h and commands_rules.h. One thread.
#ifndef SLUICE_CONTROL_CLI_COMMANDS_H_
#define SLUICE_CONTROL_CLI_COMMANDS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "control/cli/table.h"

namespace sluice::cli {

// The exit codes of sluicectl. Scripts rely on them.
enum ExitCode : int {
  kDone = 0,
  kRefused = 1,  // refused or failed; nothing changed
  kUsage = 2,
  kUnreachable = 3,  // no agent, or one that does not answer
  kTimedOut = 4,     // ran out of time; rolled back
};

// The options of the whole program, for every verb.
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

// `port`, here and below: a port's name or netdev; empty: all ports.
ExitCode RunStatus(const Context& context);
ExitCode RunQueues(const Context& context, const std::string& port);
ExitCode RunSetQueues(const Context& context, const SetQueues& wanted);
// Lets autoscale go on, or has it hold the present number of pairs.
ExitCode RunAutoscale(const Context& context, bool hold);
ExitCode RunWorkers(const Context& context);
ExitCode RunSetWorkers(const Context& context, uint32_t count);
// Prints once, or every `interval` until it is interrupted or the agent goes.
ExitCode RunStats(const Context& context, std::optional<absl::Duration> interval);
ExitCode RunDoctor(const Context& context, const std::string& port);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_COMMANDS_H_
