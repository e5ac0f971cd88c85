// The answer to a request that was refused or failed.
#ifndef SLUICE_CONTROL_AGENT_REFUSAL_H_
#define SLUICE_CONTROL_AGENT_REFUSAL_H_

#include <string>

#include "absl/status/status.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

inline wire::Response Refuse(const absl::Status& s) {
  wire::Response response;
  response.set_result(absl::IsDeadlineExceeded(s) ? wire::RESULT_TIMED_OUT : wire::RESULT_REFUSED);
  response.set_error(std::string(s.message()));
  return response;
}

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_REFUSAL_H_
