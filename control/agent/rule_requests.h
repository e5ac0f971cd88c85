// Answers what sluicectl asks of rules and blocklist.
#ifndef SLUICE_CONTROL_AGENT_RULE_REQUESTS_H_
#define SLUICE_CONTROL_AGENT_RULE_REQUESTS_H_

#include "absl/status/statusor.h"
#include "control/agent/instance.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

absl::StatusOr<wire::RulesResponse> ListRules(const Instance& instance);
// The rules as they are afterwards. An error changed nothing.
absl::StatusOr<wire::RulesResponse> ChangeRules(const wire::ChangeRulesRequest& request, Instance& instance);

absl::StatusOr<wire::BlocklistResponse> ShowBlocklist(const wire::BlocklistRequest& request, const Instance& instance);
absl::StatusOr<wire::BlocklistResponse> ChangeBlocklist(const wire::ChangeBlocklistRequest& request,
                                                        Instance& instance);

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_RULE_REQUESTS_H_
