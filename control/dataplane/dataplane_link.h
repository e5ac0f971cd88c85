// The agent's end of the socket to the dataplane (dataplane/contract/dataplane.proto).
//
// The agent listens, the dataplane connects. A dataplane that outlived the former agent comes back by itself and
// gives us its descriptors. One connection at a time. Every call blocks for a bounded time; one thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "control/dataplane/dataplane_connection.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/dataplane.pb.h"

namespace sluice {

// A lane that a dataplane which outlived the former agent gives back.
struct SurvivingLane {
  dataplane::LaneSpec spec;
  uint32_t worker = 0;
  std::vector<UniqueFd> fds;  // in the order of LaneSpec's comment
};

struct Greeting {
  dataplane::Hello hello;
  UniqueFd stats;  // when hello.configured()
  UniqueFd state;  // the function's state memory, if it has any
  std::vector<SurvivingLane> lanes;
};

class DataplaneLink final : public DataplaneConnection {
 public:
  // Makes the socket. Accept() takes only a process of `uid` or of root.
  static absl::StatusOr<DataplaneLink> Listen(const std::string& path, uid_t uid);
  DataplaneLink(DataplaneLink&&) = default;
  DataplaneLink& operator=(DataplaneLink&&) = default;

  int listen_fd() const { return listener_.get(); }
  bool connected() const override { return static_cast<bool>(connection_); }
  // Readable when the dataplane has gone (it never speaks unasked after its greeting). -1: none.
  int connection_fd() const { return connection_.get(); }
  pid_t pid() const override { return pid_; }

  // Waits for a dataplane, takes it in and reads its greeting. Errors: DeadlineExceeded; AlreadyExists when one is
  // connected; PermissionDenied for another user's process; FailedPrecondition for another contract version.
  absl::StatusOr<Greeting> Accept(absl::Time deadline);

  // Waits at most `bound` until the dataplane with this pid, which served a former agent, comes back, as it does unless
  // it has ended. nullopt: there is none, or it holds no lanes. Errors are those of Accept().
  absl::StatusOr<std::optional<Greeting>> AcceptSurvivor(pid_t pid, absl::Duration bound);

  absl::Status Call(dataplane::Request request, absl::Span<const int> fds, absl::Time deadline,
                    dataplane::Reply& reply) override;
  // SIGKILL goes through the pidfd, so it meets no other process.
  void Drop(absl::Duration grace) override;

 private:
  DataplaneLink() = default;

  UniqueFd listener_;
  UniqueFd connection_;
  UniqueFd pidfd_;
  uid_t uid_ = 0;
  pid_t pid_ = 0;
  uint64_t next_id_ = 1;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_LINK_H_
