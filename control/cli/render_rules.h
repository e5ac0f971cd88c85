// Rules and lists of sources as text. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_RULES_H_
#define SLUICE_CONTROL_CLI_RENDER_RULES_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderRules(const wire::RulesResponse& rules, Style style);
// Renders the answer to `request`, a question or a change.
std::string RenderList(const wire::BlocklistResponse& list, const wire::Request& request);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_RULES_H_
