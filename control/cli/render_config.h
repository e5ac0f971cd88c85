// Differences of configurations, and which one the agent runs, as text. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_CONFIG_H_
#define SLUICE_CONTROL_CLI_RENDER_CONFIG_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

// What would change, or has. Ends with a newline.
std::string RenderChanges(const wire::ConfigResponse& response, Style style);
// The file, what is wrong with it, and what waits to be confirmed; nothing when the agent does not say.
std::string RenderConfigStatus(const wire::ConfigStatus& config, Style style);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_CONFIG_H_
