// The network function, and answers of its commands, for people. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_FUNCTION_H_
#define SLUICE_CONTROL_CLI_RENDER_FUNCTION_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderFunction(const wire::Function& function, Style style);
std::string RenderRows(const wire::FunctionResponse& answer, Style style);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_FUNCTION_H_
