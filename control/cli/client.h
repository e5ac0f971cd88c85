// The end of the agent's socket in sluicectl: one connection for each call. Any thread; blocks.
#ifndef SLUICE_CONTROL_CLI_CLIENT_H_
#define SLUICE_CONTROL_CLI_CLIENT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

// Connects to the agent at `socket_path`, sends the request, and waits for the answer, at most `timeout`. An error
// means that there is no answer, and gives advice; a request that the agent refused has an answer. InvalidArgument: no
// socket can have such a path.
absl::StatusOr<wire::Response> Call(const std::string& socket_path, const wire::Request& request,
                                    absl::Duration timeout);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_CLIENT_H_
