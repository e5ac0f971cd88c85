// The state file, next to the agent's socket: tells the agent that starts after a crash how to put things back
// (saved_state.proto, as JSON). The file exists as long as something is to be put back.
//
// Each object of the agent writes its own part, when that changes. The file is replaced by rename, so that a reader
// never sees half of it; a crash of the machine may lose the last change, but a reboot leaves nothing to put back.
// One thread.
#ifndef SLUICE_CONTROL_STATE_STATE_FILE_H_
#define SLUICE_CONTROL_STATE_STATE_FILE_H_

#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/state/saved_state.pb.h"

namespace sluice {

// Reads the text of a state file, whoever wrote it. DataLoss, with the reason, when it is not what an agent writes.
absl::StatusOr<SavedState> ParseSavedState(const std::string& text);

class StateFile {
 public:
  // Reads the file. Where there is none the state is empty: no agent ran, or the last one put everything back. So it is
  // where the file cannot be read or believed (ParseSavedState), which is logged.
  static StateFile Open(std::string path);

  // True if there was a file that could be read: an earlier agent did not put everything back.
  bool found() const { return found_; }
  const SavedState& state() const { return state_; }
  // Changes the state and writes the file. A failure to write it is only logged: the agent goes on.
  void Update(absl::FunctionRef<void(SavedState&)> change);
  // Removes the file; none is no error.
  absl::Status Remove();

 private:
  StateFile(std::string path, bool found, SavedState state)
      : path_(std::move(path)), found_(found), state_(std::move(state)) {}
  absl::Status Write() const;

  std::string path_;
  bool found_ = false;
  SavedState state_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_STATE_FILE_H_
