// The output of sluicectl: text or JSON to standard output, in a style that fits it, and errors to standard error. One
// thread.
#ifndef SLUICE_CONTROL_CLI_OUTPUT_H_
#define SLUICE_CONTROL_CLI_OUTPUT_H_

#include <functional>
#include <string>

#include "control/cli/commands.h"
#include "control/cli/table.h"
#include "google/protobuf/message.h"

namespace sluice::cli {

// Writes to standard output, at once.
void Print(const std::string& text);
// Writes to standard error, as "sluicectl: TEXT".
void PrintError(const std::string& text);
// Prints JSON where the user asked for that, else the text that `render` makes.
void PrintMessage(const Context& context, const google::protobuf::Message& message,
                  const std::function<std::string()>& render);

enum class JsonLayout { kPretty, kOneLine };

// Returns a message as JSON: protobuf's own mapping (so 64-bit counters are strings), original field names, fields that
// are zero included. Ends with a newline.
std::string ToJson(const google::protobuf::Message& message, JsonLayout layout);

// Returns the style that standard output takes: colours on a terminal only, and not where NO_COLOR is set to anything
// (no-color.org) or TERM to `dumb`; the width that the terminal says it has.
Style StyleOfOutput();

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_OUTPUT_H_
