// Gives the metrics server the agent's status, once a second. One thread: the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_REPORTER_H_
#define SLUICE_CONTROL_SERVE_REPORTER_H_

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "control/config/config.h"
#include "control/metrics/metrics_server.h"
#include "control/serve/served.h"
#include "control/serve/status.h"

namespace sluice {

class Reporter {
 public:
  // Listens. It is an error when the address that the configuration names cannot be had; for the default one it is only
  // logged.
  static absl::StatusOr<Reporter> Start(const MetricsConfig& config);

  // Listens at another address. On an error it goes on as before. An address that overlaps the present one is free only
  // when that is given up: for a moment no server listens.
  absl::Status Listen(const MetricsConfig& config);

  // Has the next Report() publish, whenever the last one was.
  void Hurry() { next_ = {}; }
  void Report(const Served& served, const wire::ConfigStatus& config_status);
  const MetricsConfig& config() const { return config_; }

 private:
  using Server = std::unique_ptr<MetricsServer>;  // null: no metrics
  static absl::StatusOr<Server> Serve(const MetricsConfig& config);

  MetricsConfig config_;
  Server server_;
  std::vector<WorkerTimes> worker_times_;
  std::chrono::steady_clock::time_point next_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_REPORTER_H_
