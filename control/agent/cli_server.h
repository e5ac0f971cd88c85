// Serves sluicectl: one request a connection, answered at once, in the order they come. A resize therefore
// makes later requests wait, and two never run into each other.
//
// Rights (DESIGN.md 3.3): root and members of group `sluice-admin` may change, of `sluice` may read.
#ifndef SLUICE_CONTROL_AGENT_CLI_SERVER_H_
#define SLUICE_CONTROL_AGENT_CLI_SERVER_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/agent/instance.h"
#include "control/agent/status.h"
#include "control/apply/config_keeper.h"
#include "control/wire/sluice.pb.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class CliServer {
 public:
  static absl::StatusOr<CliServer> Listen(const std::string& path);

  int fd() const { return listener_.get(); }
  // Takes one waiting client, if there is one, and answers it. A client that does not speak within
  // kClientPatience is left.
  void ServeOne(Instance& instance, ConfigKeeper& configs);

 private:
  explicit CliServer(UniqueFd listener) : listener_(std::move(listener)) {}
  wire::Response Answer(const wire::Request& request, Instance& instance, ConfigKeeper& configs);

  UniqueFd listener_;
  std::vector<WorkerTimes> worker_times_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_CLI_SERVER_H_
