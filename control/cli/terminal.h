// What standard output is: a terminal, and how wide, or something else.
#ifndef SLUICE_CONTROL_CLI_TERMINAL_H_
#define SLUICE_CONTROL_CLI_TERMINAL_H_

#include "control/cli/table.h"

namespace sluice::cli {

// Colours on a terminal only, and not where NO_COLOR is set to anything (no-color.org) or TERM to `dumb`; the width
// that the terminal says it has.
Style StyleOfOutput();

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_TERMINAL_H_
