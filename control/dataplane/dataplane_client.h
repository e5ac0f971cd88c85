// The dataplane as the agent's other objects see it: one function for each request of the contract
// (dataplane/contract/dataplane.proto), its counters, and the knowledge of whether it is up.
//
//            SetUp()                 a call or Watch() ends it, or SetDown()
//     down ───────────► answering ─────────────────────────────────────► down
//
// While it is down its lanes stay as the agent's descriptors, and its successor is told of every change since.
//
// Every call blocks, for at most kCallTimeout, and returns the dataplane's error as it is. Unavailable means that the
// dataplane is gone: gone() is true then, until the agent's loop has taken note of it by SetDown(). A dataplane that
// hangs (watchdog.h) is killed: by Watch(), or by the call that waits for it. One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_CLIENT_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_CLIENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "control/dataplane/call_log.h"
#include "control/dataplane/dataplane_connection.h"
#include "control/dataplane/stats_view.h"
#include "control/dataplane/watchdog.h"
#include "dataplane/base/rcu.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/contract/self_test_frame.h"

namespace sluice {

class DataplaneClient {
 public:
  // A dataplane answers in microseconds, or, on a starved machine, later: seconds were seen in an emulated guest.
  // Draining a lane has a bound below this one.
  static constexpr absl::Duration kCallTimeout = absl::Seconds(20);

  // Borrows both. `calls` gets the time that a fence takes.
  DataplaneClient(DataplaneConnection& connection, CallLog& calls) : connection_(connection), calls_(calls) {}

  bool down() const { return down_; }
  // True if a call or Watch() found the dataplane gone, or ended it, and SetDown() was not called since.
  bool gone() const { return gone_; }
  // The reason for which we ended the dataplane; empty: it works, or it ended by itself.
  const std::string& why_ended() const { return why_ended_; }
  // The thread of the dataplane that gets no time on its core; empty: none.
  const std::string& starved() const { return starved_; }
  // Every Watchdog::kLookEveryMs: kills a dataplane that hangs.
  void Watch();
  void SetDown();
  void SetUp();
  // Returns FailedPrecondition, in words for users, while it is down.
  absl::Status CheckUp() const;
  pid_t pid() const { return connection_.pid(); }
  // Returns the CPUs that a worker's thread may run on. NotFound when the dataplane has no such thread.
  absl::StatusOr<std::vector<uint32_t>> CpusOfWorker(uint32_t worker) const;

  // The counters; there are some from SetStats() on.
  void SetStats(StatsView stats) { stats_ = std::move(stats); }
  const StatsView& stats() const { return *stats_; }

  // Passes the counters, the maps of `rcu` and the function's state memory with it. `state_fd` -1: there is no such
  // memory. DataLoss when the function cannot use this state memory.
  absl::Status Configure(const dataplane::Configure& configuration, const RcuWaiter& rcu, int state_fd);
  // Passes all of the function's settings.
  absl::Status ApplySettings(const std::map<std::string, std::string>& settings);
  // Asks the function a command of its descriptor. Returns a page of the answer.
  absl::StatusOr<dataplane::FunctionPage> QueryFunction(const dataplane::QueryFunction& query);
  // One descriptor for each port (SLUICE_MAP_CREDIT).
  absl::Status ShareCredit(absl::Span<const int> fds);
  absl::Status QuarantineSentFrames(uint32_t port, uint32_t frames);

  // `fds` are in the order of LaneSpec's comment. `steered` false: the sockets are still to be bound.
  absl::Status AddLane(const dataplane::LaneSpec& lane, uint32_t worker, bool steered, absl::Span<const int> fds);
  absl::Status SteerLane(uint32_t lane);
  // Ok also when the dataplane never had the lane, or is gone.
  absl::Status RemoveLane(uint32_t lane);
  // Worker w is to run on cores[w]; each placement is a lane and its worker.
  absl::Status PlaceLanes(absl::Span<const uint32_t> cores, absl::Span<const std::pair<uint32_t, uint32_t>> placements);
  absl::Status SetTransmitLanes(uint32_t count, bool every_lane, bool probe_flows);
  absl::Status CountCrashDrops();
  // nullopt: no more.
  absl::Status ExpectSelfTest(uint32_t lane, const std::optional<SelfTestToken>& token);

  // Offloads flows in this epoch. `buckets`: the size of each port's tables; `fds`: three for each port, in the order
  // of the contract.
  absl::Status OffloadFlows(uint32_t epoch, absl::Span<const uint32_t> buckets, absl::Span<const int> fds);
  // Goes on in another epoch, in the same tables; 0: offloads none any more.
  absl::Status SetFlowEpoch(uint32_t epoch);

  // Runs `change` behind a fence (dataplane/process/fence.h): the `fresh` lanes stop receiving before it, and receive
  // again when every packet that came by the `old` lanes is out. Returns the status of `change`, or the error for which
  // the fence could not be raised; then `change` did not run. Without a dataplane no packets need an order, and
  // `change` runs all the same.
  absl::Status Fenced(absl::Span<const uint32_t> fresh, absl::FunctionRef<absl::Status()> change,
                      absl::Span<const uint32_t> old);

  // Makes it send its last frames, and end.
  absl::Status ShutDown();

 private:
  absl::Status Call(const dataplane::Request& request, absl::Span<const int> fds = {},
                    dataplane::Reply* reply = nullptr);
  absl::Status StillWorks();
  absl::Status End(const absl::Status& why);

  DataplaneConnection& connection_;
  CallLog& calls_;
  std::optional<StatsView> stats_;
  bool down_ = false;
  bool gone_ = false;
  std::string why_ended_;
  std::string starved_;
  Watchdog watchdog_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_CLIENT_H_
