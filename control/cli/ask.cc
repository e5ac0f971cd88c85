#include "control/cli/ask.h"

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "control/cli/client.h"
#include "control/cli/output.h"

namespace sluice::cli {
namespace {

ExitCode CodeOf(const wire::Response& response) {
  switch (response.result()) {
    case wire::RESULT_OK:
      return kDone;
    case wire::RESULT_TIMED_OUT:
      return kTimedOut;
    default:
      return kRefused;
  }
}

}  // namespace

std::optional<wire::Response> Ask(const Context& context, const wire::Request& request, absl::Duration timeout,
                                  wire::Response::BodyCase expected, ExitCode& code) {
  absl::StatusOr<wire::Response> response = Call(context.socket_path, request, timeout);
  if (!response.ok()) {
    PrintError(std::string(response.status().message()));
    // No socket can have such a path, so the agent was not even tried.
    code = absl::IsInvalidArgument(response.status()) ? kUsage : kUnreachable;
    return std::nullopt;
  }
  code = CodeOf(*response);
  if (code != kDone) {
    PrintError(response->error().empty() ? "the agent refused without a reason; see its log" : response->error());
  } else if (response->body_case() != expected) {
    PrintError("the agent's answer is of another kind; are sluicectl and sluice-agent of one version?");
    code = kRefused;
  }
  if (response->body_case() != expected) {
    return std::nullopt;
  }
  return *std::move(response);
}

}  // namespace sluice::cli
