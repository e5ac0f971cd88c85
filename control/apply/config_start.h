// With which configuration the agent starts: the file it was given, and what there is instead when that does not work.
//
// A machine that boots is to carry packets: a file that is broken or that cannot be brought up (a netdev's name was
// mistyped) must not keep it from that, as long as there is one that was good. A file that was applied and that nobody
// confirmed does not become final by a restart either, be it before or after it was rolled back.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_START_H_
#define SLUICE_CONTROL_APPLY_CONFIG_START_H_

#include <optional>
#include <string>
#include <vector>

#include "control/config/config.h"
#include "control/state/saved_state.pb.h"
#include "control/state/state_dir.h"

namespace sluice {

// Where the running configuration came from.
struct ConfigSource {
  std::string file;
  bool last_good = false;             // instead of a file that did not work
  std::vector<std::string> problems;  // of that file; what users are to know otherwise
};

struct StartConfig {
  Config config;
  ConfigSource source;
  std::string text;                 // to be kept as the last good one when it starts; empty: not to be kept
  std::optional<SavedApply> apply;  // not final, and gone on with
};

struct StartChoices {
  std::vector<StartConfig> configs;   // the first that can be brought up is the one; none: there is no good one
  std::vector<std::string> problems;  // of what is not among them
};

// `takes_over`: an agent before this one died, and what it set up is still there (its state file is).
StartChoices FindStartChoices(const std::string& config_path, const StateDir& state_dir, bool takes_over);

// Whether an apply's time is over, by this boot's clock.
bool TimeIsOver(const SavedApply& apply);

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_START_H_
