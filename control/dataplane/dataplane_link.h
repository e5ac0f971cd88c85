// The agent's end of the socket to the dataplane (dataplane/contract/dataplane.proto).
//
// The agent listens, the dataplane connects. A dataplane that outlived the former agent comes back by itself and
// gives us its descriptors. One dataplane at a time.
//
//   connects ─► of the dataplane's user? ─► greets (greeting.h), within kGreetingBound ─► the dataplane
//
// A few processes may be greeting at once, so that a silent one holds up nobody; one more sends the oldest away. A
// process that greets wrongly, or not in time, is no dataplane of ours: EndRefused() kills it.
//
// Every call blocks for a bounded time; one thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_

#include <sys/types.h>

#include <cstdint>
#include <list>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "control/dataplane/dataplane_connection.h"
#include "control/dataplane/greeting.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"

namespace sluice {

class DataplaneLink final : public DataplaneConnection {
 public:
  // From its connection on. A dataplane greets at once; a starved machine takes seconds.
  static constexpr absl::Duration kGreetingBound = absl::Seconds(5);

  // Makes the socket. Processes of `uid` may connect, and no others.
  static absl::StatusOr<DataplaneLink> Listen(const std::string& path, uid_t uid);
  DataplaneLink(DataplaneLink&&) = default;
  DataplaneLink& operator=(DataplaneLink&&) = default;

  // Readable when TakeIn() has something to do.
  int listen_fd() const { return ready_.get(); }
  bool connected() const override { return static_cast<bool>(connection_); }
  // Readable when the dataplane has gone (it never speaks unasked after its greeting). -1: none.
  int connection_fd() const { return connection_.get(); }
  pid_t pid() const override { return pid_; }

  // Takes connections and greetings as far as they have come; does not wait. Returns the greeting that is complete, and
  // its sender is the dataplane then; nullopt: none is. An error is about one process, which was sent away:
  // AlreadyExists when a dataplane is connected; PermissionDenied for another user's process; Unavailable for one that
  // hung up; those of GreetingParser, and DeadlineExceeded for one that does not greet, are to be ended.
  absl::StatusOr<std::optional<Greeting>> TakeIn();
  // Waits for a greeting. Errors are those of TakeIn(), of the first process that was sent away; and DeadlineExceeded.
  absl::StatusOr<Greeting> Accept(SteadyTime deadline);
  // The dataplane that served a former agent, as the state file says.
  struct Survivor {
    pid_t pid = 0;
    uint64_t started = 0;  // ThreadState::started; 0: not known. Another process may have its pid by now.
  };
  // Waits for a dataplane that served a former agent, and greets us within a second or so: for at most `bound`, and as
  // long as `survivor` lives or `may_live()`. Processes that are sent away are ended; so is a survivor that is stopped,
  // or does not come, since it keeps the sockets, unless it is not certain that it is a dataplane. nullopt: there is
  // none, or it holds no lanes.
  absl::StatusOr<std::optional<Greeting>> AcceptSurvivor(const Survivor& survivor, absl::FunctionRef<bool()> may_live,
                                                         absl::Duration bound);
  // Kills the survivor unless it is not certain that it is a dataplane.
  void EndSurvivor(const Survivor& survivor);
  // Kills the process that the last error was about, if it was of the dataplane's user and greeted wrongly.
  void EndRefused();

  absl::Status Call(dataplane::Request request, absl::Span<const int> fds, SteadyTime deadline, StillWorks still_works,
                    dataplane::Reply& reply) override;
  // SIGKILL goes through the pidfd, so it meets no other process.
  void Drop(absl::Duration grace) override;

 private:
  // A process that has connected and not greeted in full.
  struct Greeter {
    UniqueFd connection;
    pid_t pid = 0;
    UniqueFd process;
    int64_t deadline_ns = 0;  // by MonotonicNs()
    GreetingParser greeting;
  };

  DataplaneLink() = default;
  absl::Status AcceptOne();
  UniqueFd Watch(const Survivor& survivor) const;
  absl::StatusOr<bool> ReadFrom(Greeter& greeter) const;

  UniqueFd listener_;
  UniqueFd ready_;               // an epoll of the listener and the greeters
  std::list<Greeter> greeters_;  // the oldest first
  UniqueFd refused_;             // the process that EndRefused() kills
  pid_t refused_pid_ = 0;
  UniqueFd connection_;
  UniqueFd pidfd_;
  uid_t uid_ = 0;
  pid_t pid_ = 0;
  uint64_t next_id_ = 1;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_
