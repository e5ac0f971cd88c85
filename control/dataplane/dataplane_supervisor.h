// Keeps a dataplane running: starts it when that is the agent's job, and starts it again after it has ended. That is at
// once, and up to kAtOnce times in a row; beyond that once in kRestartEvery, so that a dataplane that keeps dying does
// not wear the machine out. Each kRestartEvery without a death earns one restart at once.
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
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "control/dataplane/dataplane_client.h"
#include "control/dataplane/dataplane_process.h"
#include "control/state/state_file.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

class DataplaneSupervisor {
 public:
  static constexpr int kAtOnce = 10;
  static constexpr absl::Duration kRestartEvery = absl::Seconds(1);
  // A dataplane that was started connects in a fraction of a second. One that has not by then is killed.
  static constexpr absl::Duration kComesWithin = absl::Seconds(10);

  // Borrows all. `launcher` is nullptr when the agent does not start the dataplane (systemd does).
  DataplaneSupervisor(DataplaneLauncher* launcher, DataplaneClient& client, StateFile& state)
      : launcher_(launcher), client_(client), state_(state) {}

  // Starts a dataplane, if that is the agent's job. FailedPrecondition when it cannot be executed.
  absl::Status Start(SteadyTime now);
  // Notes that a dataplane has connected, whose pid the client knows.
  void Connected();
  // Notes that it has its lanes.
  void TakenIn();
  // Notes that the connection has ended: takes the client down and counts a restart.
  void Lost(SteadyTime now);
  // Notes that one came that could not be taken in, and was ended.
  void Refused(SteadyTime now);
  // Often: while there is no dataplane, reaps, and starts the one that is due.
  void Tick(SteadyTime now);
  // Kills the child unless it was asked to end, and reaps it.
  void Stop(bool asked_to_end);

  // The number of dataplanes lost, by this agent and earlier ones.
  uint32_t restarts() const { return state_.state().restarts(); }
  // How many of them hung, or did not answer, and were killed.
  uint32_t hangs() const { return state_.state().hangs(); }
  // The reason for which the last one was lost; empty: none was, since this agent started.
  const std::string& why_lost() const { return why_lost_; }

 private:
  void Schedule(SteadyTime now);
  void Reap(SteadyTime now);
  void SavePid();

  DataplaneLauncher* launcher_;
  DataplaneClient& client_;
  StateFile& state_;
  std::optional<pid_t> child_;                            // that we started and have not reaped
  SteadyTime overdue_at_ = SteadyTime::InfiniteFuture();  // of the child, to be taken in
  std::optional<SteadyTime> restart_at_;                  // nullopt: none is due
  // The time at which all of kAtOnce restarts are earned again.
  SteadyTime all_earned_at_ = SteadyTime::InfinitePast();
  std::string why_lost_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_SUPERVISOR_H_
