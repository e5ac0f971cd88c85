// Answers requests about configurations. One thread, the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
#define SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_

#include "absl/status/statusor.h"
#include "control/apply/config_keeper.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// `request` is one of the config requests. The answer to a file with problems is a refusal that lists them; errors are
// those of ConfigKeeper.
absl::StatusOr<wire::Response> AnswerConfig(const wire::Request& request, ConfigKeeper& configs);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
