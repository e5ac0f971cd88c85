// Answers to what sluicectl asks about configurations.
#ifndef SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
#define SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_

#include "absl/status/statusor.h"
#include "control/apply/config_keeper.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// `request` is one of the config requests. A file with problems is answered with a refusal that lists them; errors are
// the keeper's.
absl::StatusOr<wire::Response> AnswerConfig(const wire::Request& request, ConfigKeeper& configs);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_CONFIG_ANSWERS_H_
