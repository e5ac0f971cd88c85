// Serves what the agent last published: GET /metrics for Prometheus, /healthz and /readyz for probes. Before anything
// was published there are no metrics (503): zeros would look like counters that were reset.
//
// The agent's loop publishes about once a second; while it is busy with a resize the last status stays, so a scrape
// never waits for one. Threads: Publish() from the agent's loop, answers from the server's own; a mutex guards the
// status. No authentication: bind it to loopback, or to a network of your own.
#ifndef SLUICE_CONTROL_METRICS_METRICS_SERVER_H_
#define SLUICE_CONTROL_METRICS_METRICS_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// What /healthz and /readyz say.
struct ProbeAnswer {
  bool good = false;
  std::string text;  // one line
};

// Whether the agent's loop turns. A resize may keep it for long (kResizeBound of cli_server.cc, and what the user
// asks for), so only more than five minutes of silence count.
ProbeAnswer Health(absl::Duration since_published);
// Whether packets are handled: a dataplane runs and the agent's loop turns.
ProbeAnswer Readiness(const wire::StatusResponse& status, absl::Duration since_published);

class MetricsServer {
 public:
  // `host` is an IP address: "127.0.0.1", "::1". Unavailable with both and what to do when it cannot be had.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Listen(const std::string& host, uint16_t port);
  // Waits for answers under way, and up to two seconds for a client that connected and does not ask.
  ~MetricsServer();

  void Publish(wire::StatusResponse status);

 private:
  class Board;
  class Http;
  MetricsServer(std::unique_ptr<Board> board, std::unique_ptr<Http> http);

  std::unique_ptr<Board> board_;
  std::unique_ptr<Http> http_;  // ends before the board, which it reads
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_METRICS_METRICS_SERVER_H_
