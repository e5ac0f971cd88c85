// Which configuration the agent runs, and how it comes to another one: apply, confirm, roll back.
//
//   Apply() ── checked, written down ── steps ──► final                     kept as the last good one
//                                          └────► waits for Confirm() ────► final
//                                                        └── its time is over, or Rollback() ──► the one before
//
// From the first step on the state folder (state_dir.h) says how to go back, so that an agent which dies in the middle
// is followed by one that does. What cannot be put back at once is tried again until it can.
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
  // `start`: what the agent was started with, and the apply it goes on with. `config_path`: what Reload() reads, and
  // the next agent starts with. Borrows `live` and `state_dir`.
  ConfigKeeper(ConfigActions& live, StateDir& state_dir, StartConfig start, std::string config_path);

  // What Apply() would change.
  ConfigDiff Diff(const Config& wanted) const { return Compare(live_.Running(), wanted); }
  // All of it or nothing; `wanted` is what `text`, the content of `file`, says. Final, or with `confirm` above zero to
  // be confirmed within that time from now. Errors: FailedPrecondition while another apply waits, for keys that need a
  // restart, and for what this machine has not got; otherwise what the kernel or the dataplane said. Each says how
  // things are now.
  absl::StatusOr<AppliedConfig> Apply(const Config& wanted, const std::string& text, const std::string& file,
                                      absl::Duration confirm);
  // FailedPrecondition when nothing waits.
  absl::Status Confirm();
  absl::Status Rollback();
  // SIGHUP: applies the file at config_path. What came of it is in the log.
  void Reload();
  // Once a second or so: rolls back what was not confirmed in time.
  void Tick();

  wire::ConfigStatus Status() const;

 private:
  SavedApply MakeRecord(const Config& before, const std::string& text, const std::string& file) const;
  absl::Duration TimeLeft() const;
  absl::Status RefuseWhilePending() const;
  // What users are told when it worked. `why` counts the first time; whoever tries again has the same reason.
  std::optional<std::string> GoBack(const std::string& why);
  // It is final now.
  void Keep(const std::string& text, const std::string& file);
  // What was to be confirmed and is the file the next agent starts with: not to be started with as it is.
  void Reject(const SavedApply& apply);
  // What the state folder says while nothing is under way or waits.
  void Settle();
  void Warn(const absl::Status& s, const char* what) const;

  ConfigActions& live_;
  StateDir& state_dir_;
  std::string config_path_;
  ConfigSource source_;
  std::optional<SavedApply> apply_;     // that is not final
  std::optional<SavedApply> rejected_;  // of config_path_: what nobody confirmed, and the file may still say
  int64_t retry_at_ns_ = 0;             // of going back, by the boot's clock
  absl::Status last_failure_;           // of going back
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_APPLY_CONFIG_KEEPER_H_
