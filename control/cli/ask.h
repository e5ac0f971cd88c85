// One question to the agent, and what every verb does with the answer.
#ifndef SLUICE_CONTROL_CLI_ASK_H_
#define SLUICE_CONTROL_CLI_ASK_H_

#include <functional>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "control/cli/commands.h"
#include "control/cli/exit_code.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

// Looking takes no time; the agent may be in the middle of a resize, though, which it finishes first.
inline constexpr absl::Duration kLookTimeout = absl::Seconds(30);

// Asks, and checks that the answer is of the kind `expected`; `code` is what to exit with. Errors are printed.
std::optional<wire::Response> Ask(const Context& context, const wire::Request& request, absl::Duration timeout,
                                  wire::Response::BodyCase expected, ExitCode& code);

// To stdout, at once.
void Print(const std::string& text);
// As JSON where that is wanted, else as `render` makes it.
void PrintMessage(const Context& context, const google::protobuf::Message& message,
                  const std::function<std::string()>& render);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_ASK_H_
