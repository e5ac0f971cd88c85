// Keeps the configuration that the agent runs, and changes it: apply, confirm, roll back.
//
//   Apply() ── checked, recorded ── steps ──► final                     kept as the last good one
//                                     └─────► waits for Confirm() ────► final
//                                                   └── its time is over, or Rollback() ──► the one before
//
// From the first step on, a record in the state folder (state_dir.h) says how to go back: an agent that dies during an
// apply is followed by one that goes back. A step that cannot be put back is tried again until it can.
//
// One thread: the agent's loop.
#ifndef SLUICE_CONTROL_APPLY_CONFIG_KEEPER_H_
#define SLUICE_CONTROL_APPLY_CONFIG_KEEPER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/apply/config_lists.h"
#include "control/apply/config_run.h"
#include "control/apply/config_start.h"
#include "control/config/config_diff.h"
#include "control/state/state_dir.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

struct AppliedConfig {
  ConfigDiff diff;
  std::vector<std::string> warnings;
};

class ConfigKeeper {
 public:
  // `start`: the configuration that the agent started with, and an apply that it continues. `config_path`: the file
  // that the next agent starts with, and that SIGHUP applies. Borrows `live` and `state_dir`.
  ConfigKeeper(ConfigActions& live, StateDir& state_dir, StartConfig start, std::string config_path);

  // Returns the changes that Apply() would make.
  ConfigDiff Diff(const Config& wanted) const { return Compare(live_.Running(), wanted); }
  // FailedPrecondition while another apply waits, or is being rolled back.
  absl::Status RefuseWhilePending() const;
  // Returns the lists that Apply() wants to find prepared (Steering::Prepare).
  ListsToLoad ListsFor(const Config& wanted) const { return ListsOfApply(live_.Running(), wanted); }
  ListCopies list_copies() const { return state_dir_.list_copies(); }
  const std::string& config_path() const { return config_path_; }
  // Makes all of the changes or none. `wanted` is parsed from `text`, which is the content of `file`. With `confirm` at
  // zero the changes are final; above zero they wait that long, from the last step on, to be confirmed. Errors:
  // FailedPrecondition while another apply waits, for keys that need a restart, and for resources that this machine
  // does not have; otherwise the error of the kernel or the dataplane. Each describes the present state.
  absl::StatusOr<AppliedConfig> Apply(const Config& wanted, const std::string& text, const std::string& file,
                                      absl::Duration confirm);
  // Both: FailedPrecondition when no apply waits.
  absl::Status Confirm();
  absl::Status Rollback();
  // Rolls back an apply that nobody confirmed in time, and tries again to go back where that failed. The agent calls it
  // about once a second.
  void Tick();

  wire::ConfigStatus Status() const;

 private:
  SavedApply MakeRecord(const Config& before, const std::string& text, const std::string& file) const;
  absl::Duration TimeLeft() const;
  // Puts back every step. Returns a sentence for users, or nullopt when that failed and is to be tried again. `why` is
  // the sentence's end; a second try repeats the first one's.
  std::optional<std::string> GoBack(const std::string& why);
  // Makes the text the last good one.
  void Keep(const std::string& text, const std::string& file);
  // Records that nobody confirmed this text, so that no agent starts with it as long as config_path contains it.
  void Reject(const SavedApply& apply);
  // Writes the state folder as it is between applies.
  void Settle();
  // Logs an error of the state folder.
  void Warn(const absl::Status& s, const char* what) const;

  ConfigActions& live_;
  StateDir& state_dir_;
  std::string config_path_;
  ConfigSource source_;
  std::optional<SavedApply> apply_;     // waits to be confirmed, or is going back
  std::optional<SavedApply> rejected_;  // an apply of config_path that nobody confirmed
  int64_t retry_at_ns_ = 0;             // when to try again to go back, by the boot clock
  absl::Status last_failure_;           // of going back
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_KEEPER_H_
