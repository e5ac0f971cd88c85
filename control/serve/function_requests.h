// Answers commands of the network function's descriptor (`sluicectl function NAME`). One thread.
#ifndef SLUICE_CONTROL_SERVE_FUNCTION_REQUESTS_H_
#define SLUICE_CONTROL_SERVE_FUNCTION_REQUESTS_H_

#include "absl/status/statusor.h"
#include "control/serve/served.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// Tells whether the command changes something; one that the function does not have does not.
bool Changes(const wire::FunctionRequest& request, const Served& served);

// Returns a page of the answer. NotFound for a command that the function does not have, InvalidArgument for bad
// arguments: both list what is allowed. FailedPrecondition while no dataplane runs.
absl::StatusOr<wire::FunctionResponse> AnswerFunction(const wire::FunctionRequest& request, const Served& served);

// Fills in name, settings and counters.
void FillFunction(const Served& served, wire::Function& out);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_FUNCTION_REQUESTS_H_
