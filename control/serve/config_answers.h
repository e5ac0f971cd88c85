// Answers requests about configurations. One thread, the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
#define SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/apply/config_keeper.h"
#include "control/serve/served.h"
#include "control/steering/loaded_lists.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// `request` is one of the config requests, but for an apply. The answer to a file with problems is a refusal that lists
// them; errors are those of ConfigKeeper.
absl::StatusOr<wire::Response> AnswerConfig(const wire::Request& request, ConfigKeeper& configs);

// Returns the answer to a request for a file with problems.
wire::Response AnswerProblems(const std::string& file, const absl::Status& problems, const ConfigKeeper& configs);
// Applies `wanted`, which the request's text says, with the lists of ConfigKeeper::ListsFor(). Their errors are
// problems of the file; other errors are those of CheckLists and ConfigKeeper.
absl::StatusOr<wire::Response> AnswerApply(const wire::ConfigApplyRequest& request, const Config& wanted,
                                           absl::StatusOr<LoadedLists> lists, const Served& served,
                                           ConfigKeeper& configs);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
