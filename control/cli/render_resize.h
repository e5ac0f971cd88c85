// The plan and the outcome of a resize as text. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_RESIZE_H_
#define SLUICE_CONTROL_CLI_RENDER_RESIZE_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderResize(const wire::ResizeResponse& resize, Style style);
// Renders a resize that was run, without its steps, behind `first`. Ends with a newline.
std::string RenderOutcome(const wire::LastResize& resize, Style style, const std::string& first = "");

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_RESIZE_H_
