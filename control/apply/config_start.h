// Chooses the configuration that the agent starts with: an unfinished apply, the file, or the last good one.
//
// A machine that boots has to carry packets. A file that is broken, or that cannot be brought up (too many queue
// pairs), must not prevent that as long as an older one was good, unless that is of other devices than the file names.
// A file that was applied with --confirm and that nobody confirmed must not become final by a restart, rolled back
// already or not. One thread; reads files.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_START_H_
#define SLUICE_CONTROL_APPLY_CONFIG_START_H_

#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/state/saved_state.pb.h"
#include "control/state/state_dir.h"

namespace sluice {

// The origin of the running configuration.
struct ConfigSource {
  std::string file;
  bool last_good = false;             // it is the last good one, since the file did not work
  std::vector<std::string> problems;  // of the file that did not work, and other facts for `sluicectl status`
};

struct StartConfig {
  Config config;
  ConfigSource source;
  std::string text;                 // becomes the last good one when the agent starts with it; empty: it does not
  std::optional<SavedApply> apply;  // the unfinished apply that the agent continues
};

struct StartChoices {
  std::vector<StartConfig> configs;   // in order of preference; the agent takes the first that can be brought up
  std::vector<std::string> problems;  // of the files that are not among them
};

// Returns the choices. `takes_over`: an earlier agent died, and its state file and set-up are still there.
StartChoices FindStartChoices(const std::string& config_path, const StateDir& state_dir, bool takes_over);

// Returns true if the time to confirm is over, by the boot clock. An apply of an earlier boot is always over.
bool TimeIsOver(const SavedApply& apply);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_START_H_
