// Asks the agent one question. Errors are printed, so that a verb only has to show the answer. One thread;
// blocks.
#ifndef SLUICE_CONTROL_CLI_ASK_H_
#define SLUICE_CONTROL_CLI_ASK_H_

#include <optional>

#include "absl/time/time.h"
#include "control/cli/commands.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

// An answer takes no time, but the agent may be in the middle of a resize, which it finishes first.
inline constexpr absl::Duration kLookTimeout = absl::Seconds(30);

// Asks, and checks that the answer is of the kind `expected`; `code` becomes the exit code. nullopt: there is no such
// answer. A request that the agent refused may have one: the plan that failed, say.
std::optional<wire::Response> Ask(const Context& context, const wire::Request& request, absl::Duration timeout,
                                  wire::Response::BodyCase expected, ExitCode& code);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_ASK_H_
