// Keeps a dataplane running: starts it when that is the agent's job, and starts it again after it has ended: at once
// the first few times, then ever more slowly, so that a dataplane that keeps dying does not wear the machine out.
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
  // Borrows all. `launcher` is nullptr when the agent does not start the dataplane (systemd does).
  DataplaneSupervisor(DataplaneLauncher* launcher, DataplaneClient& client, StateFile& state)
      : launcher_(launcher), client_(client), state_(state) {}

  // Starts a dataplane, if that is the agent's job. FailedPrecondition when it cannot be executed.
  absl::Status Start();
  // Notes that a dataplane has connected, whose pid the client knows.
  void Connected();
  // Notes that it has its lanes.
  void TakenIn(absl::Time now);
  // Notes that the connection has ended: takes the client down and counts a restart.
  void Lost(absl::Time now);
  // Notes that one came that could not be taken in, and was ended.
  void Refused(absl::Time now);
  // Once a second or so: reaps, and starts the dataplane that is due.
  void Tick(absl::Time now);
  // Kills the child unless it was asked to end, and reaps it.
  void Stop(bool asked_to_end);

  // The number of dataplanes lost, by this agent and earlier ones.
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
