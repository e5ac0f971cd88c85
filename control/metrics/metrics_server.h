// Serves the status that the agent last published: GET /metrics for Prometheus, /healthz and /readyz for probes. Before
// the first one there are no metrics (503): zeros would look like counters that were reset.
//
// The agent's loop publishes about once a second. While it is busy with a resize the last status stays, so that a
// scrape never waits for a resize. Threads: the agent's loop calls Publish(), the server's own thread answers; a mutex
// guards the status. There is no authentication: bind it to loopback, or to a network that you trust. All the same a
// client gets little: one of 32 connections, a head of 8 KiB within 5 s, no body, one answer
// (control/wire/stream_server.h).
#ifndef SLUICE_CONTROL_METRICS_METRICS_SERVER_H_
#define SLUICE_CONTROL_METRICS_METRICS_SERVER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

// The answer to /healthz or /readyz.
struct ProbeAnswer {
  bool good = false;
  std::string text;  // one line
};

// Tells whether the agent's loop turns. A resize may keep it busy for long (its own bound, or one that the user asked
// for), so only more than five minutes of silence count.
ProbeAnswer Health(absl::Duration since_published);
// Tells whether packets are handled: a dataplane runs, every port is as it should be, and the agent's loop turns.
ProbeAnswer Readiness(const wire::StatusResponse& status, absl::Duration since_published);

class MetricsServer {
 public:
  // `host` is an IP address: "127.0.0.1", "::1". Unavailable, with address and advice, when it is taken or not ours.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Listen(const std::string& host, uint16_t port);
  // Closes all connections.
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
