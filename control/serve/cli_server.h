// Serves sluicectl over a unix socket: one request a connection, answered at once, in the order they come. So a resize
// makes later requests wait, and no two requests run at the same time.
//
// Rights, by SO_PEERCRED: root and members of group `sluice-admin` may change, members of `sluice` may read.
//
// One thread, the agent's loop. A client that neither speaks nor reads holds it up for two seconds at most.
#ifndef SLUICE_CONTROL_SERVE_CLI_SERVER_H_
#define SLUICE_CONTROL_SERVE_CLI_SERVER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/apply/config_keeper.h"
#include "control/serve/served.h"
#include "control/serve/status.h"
#include "control/wire/sluice.pb.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class CliServer {
 public:
  // AlreadyExists when another agent answers there.
  static absl::StatusOr<CliServer> Listen(const std::string& path);

  int fd() const { return listener_.get(); }
  // Takes one waiting client, if there is one, and answers it.
  void ServeOne(const Served& served, ConfigKeeper& configs);

 private:
  explicit CliServer(UniqueFd listener) : listener_(std::move(listener)) {}
  wire::Response Answer(const wire::Request& request, const Served& served, ConfigKeeper& configs);

  UniqueFd listener_;
  std::vector<WorkerTimes> worker_times_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_CLI_SERVER_H_
