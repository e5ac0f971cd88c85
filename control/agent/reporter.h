// Tells the metrics server how things are, once a second. One thread: the agent's loop.
#ifndef SLUICE_CONTROL_AGENT_REPORTER_H_
#define SLUICE_CONTROL_AGENT_REPORTER_H_

#include <chrono>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "control/agent/instance.h"
#include "control/agent/status.h"
#include "control/config/config.h"
#include "control/metrics/metrics_server.h"

namespace sluice {

class Reporter {
 public:
  // Listens. An address that was asked for and cannot be had is an error; of the default one the log says so.
  static absl::StatusOr<Reporter> Start(const MetricsConfig& config);

  // Listens there instead, or goes on as before and says why. An address that overlaps the present one is free only
  // when that is given up: nobody listens for a moment then.
  absl::Status Listen(const MetricsConfig& config);

  void Report(const Instance& instance, const wire::ConfigStatus& config_status);
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

#endif  // SLUICE_CONTROL_AGENT_REPORTER_H_
