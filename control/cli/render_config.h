// Renders differences of configurations, and the configuration that the agent runs, as text. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_CONFIG_H_
#define SLUICE_CONTROL_CLI_RENDER_CONFIG_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

// Lists the changes of a diff or an apply. Ends with a newline.
std::string RenderChanges(const wire::ConfigResponse& response, Style style);
// Shows the file, its problems, and an apply that waits to be confirmed; empty when the agent does not name a file.
std::string RenderConfigStatus(const wire::ConfigStatus& config, Style style);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_CONFIG_H_
