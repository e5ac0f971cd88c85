// Keeps a dataplane running: starts it when that is the agent's job, and starts it again after it ended, at once for
// the first few times and then ever more slowly, so that one that keeps dying does not take the machine with it.
//
//   Start() ─► TakenIn() ─► Lost() ─► (delay) ─► Tick() starts it ─► TakenIn() or Refused() ...
//
// Ownership: the child is reaped here, and left running when the object goes. The state file has the pid of the
// dataplane from its start on, so that the next agent finds it. One thread; nothing blocks but Stop().
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_SUPERVISOR_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_SUPERVISOR_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_process.h"
#include "control/state/state_file.h"

namespace sluice {

class DataplaneSupervisor {
 public:
  // Borrows all. `launcher`: nullptr when somebody else (systemd) starts the dataplane.
  DataplaneSupervisor(DataplaneLauncher* launcher, DataplaneClient& client, StateFile& state)
      : launcher_(launcher), client_(client), state_(state) {}

  // Starts one, if that is our job. FailedPrecondition when it cannot be executed.
  absl::Status Start();
  // One connected, and is the one whose pid the client knows.
  void Connected();
  // It has its lanes.
  void TakenIn(absl::Time now);
  // The connection ended: takes the client down and counts a restart.
  void Lost(absl::Time now);
  // One came that could not be taken in, and was ended.
  void Refused(absl::Time now);
  // Once a second or so: reaps, and starts the dataplane that is due.
  void Tick(absl::Time now);
  // Kills the child unless it was asked to end, and reaps it.
  void Stop(bool asked_to_end);

  // How often a dataplane was lost, by this agent and those before it.
  uint32_t restarts() const { return state_.state().restarts(); }

 private:
  void Schedule(absl::Time now);
  void Reap(absl::Time now);
  void SavePid();

  DataplaneLauncher* launcher_;
  DataplaneClient& client_;
  StateFile& state_;
  std::optional<pid_t> child_;            // that we started and have not reaped
  std::optional<absl::Time> restart_at_;  // nullopt: none is due
  std::optional<absl::Time> up_since_;
  uint32_t restarts_in_a_row_ = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_SUPERVISOR_H_
