// Values on the command line: text in, value out, and an error in words a user understands. Pure.
#ifndef SLUICE_CONTROL_CLI_ARGUMENTS_H_
#define SLUICE_CONTROL_CLI_ARGUMENTS_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice::cli {

// Parses digits. The agent, which knows the device, decides whether 0 or a large number makes sense.
absl::StatusOr<uint32_t> ParseCount(const std::string& text);

// Parses "500ms", "5s", "1m30s"; at least `min`, at most a day.
absl::StatusOr<absl::Duration> ParseInterval(const std::string& text, absl::Duration min);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_ARGUMENTS_H_
