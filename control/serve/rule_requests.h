// Answers requests about rules. One thread, the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_RULE_REQUESTS_H_
#define SLUICE_CONTROL_SERVE_RULE_REQUESTS_H_

#include "absl/status/statusor.h"
#include "control/serve/served.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

absl::StatusOr<wire::RulesResponse> ListRules(const Served& served);
// Returns the rules as they are afterwards. An error has changed nothing.
absl::StatusOr<wire::RulesResponse> ChangeRules(const wire::ChangeRulesRequest& request, const Served& served);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_RULE_REQUESTS_H_
