// Reads and writes saved_state.proto as JSON, beside the agent's socket.
#ifndef SLUICE_CONTROL_STATE_STATE_FILE_H_
#define SLUICE_CONTROL_STATE_STATE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

// NotFound when there is none: no agent ran, or the last one put everything back.
absl::StatusOr<SavedState> ReadStateFile(const std::string& path);
// Published by rename: a reader never sees half.
absl::Status WriteStateFile(const std::string& path, const SavedState& state);
absl::Status RemoveStateFile(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_STATE_FILE_H_
