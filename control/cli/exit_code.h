// What sluicectl's exit codes mean (DESIGN.md section 5). Scripts rely on them.
#ifndef SLUICE_CONTROL_CLI_EXIT_CODE_H_
#define SLUICE_CONTROL_CLI_EXIT_CODE_H_

namespace sluice::cli {

enum ExitCode : int {
  kDone = 0,
  kRefused = 1,  // refused or failed; nothing changed
  kUsage = 2,
  kUnreachable = 3,  // no agent, or one that does not answer
  kTimedOut = 4,     // ran out of time; rolled back
};

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_EXIT_CODE_H_
