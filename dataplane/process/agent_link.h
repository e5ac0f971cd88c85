// The dataplane's end of the connection to the agent: connects, says Hello, answers requests in order.
//
// While there is no agent, the link tries to connect again and again, with a growing pause, and the workers go on. A
// termination signal ends it.
//
// Threads: the control thread.
#ifndef SLUICE_DATAPLANE_PROCESS_AGENT_LINK_H_
#define SLUICE_DATAPLANE_PROCESS_AGENT_LINK_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/process/dataplane.h"

namespace sluice {

class AgentLink {
 public:
  // `termination_fd` becomes readable when the process has to end. `dataplane` is the caller's.
  AgentLink(Dataplane& dataplane, std::string socket_path, int termination_fd);

  // Returns when the agent has shut the dataplane down, or when the process has to end; then lanes are still held.
  void Serve();

 private:
  absl::StatusOr<UniqueFd> Connect() const;
  absl::Status Greet(int socket) const;
  absl::Status ServeRequests(int socket);
  absl::Status Answer(int socket);
  // Waits for `fd` (if not -1) to be readable. False when the time has passed or the process is to end.
  bool WaitFor(int fd, absl::Duration bound);

  Dataplane& dataplane_;
  const std::string socket_path_;
  const int termination_fd_;
  bool told_to_end_ = false;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_AGENT_LINK_H_
