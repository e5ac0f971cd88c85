// Tells the metrics server how things are, once a second. One thread: the agent's loop.
#ifndef SLUICE_CONTROL_AGENT_REPORTER_H_
#define SLUICE_CONTROL_AGENT_REPORTER_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "control/agent/instance.h"
#include "control/agent/status.h"
#include "control/config/config.h"
#include "control/metrics/metrics_server.h"

namespace sluice {

class Reporter {
 public:
  // Listens. An address that was asked for and cannot be had is an error; of the default one the log says so.
  static absl::StatusOr<Reporter> Start(const MetricsConfig& config);

  void Report(const Instance& instance);

 private:
  // Null: no metrics. Never ended, as that takes civetweb up to two seconds (civetweb.c: SOCKET_TIMEOUT_QUANTUM):
  // main() leaves by quick_exit instead.
  MetricsServer* server_ = nullptr;
  std::vector<WorkerTimes> worker_times_;
  absl::Time next_ = absl::InfinitePast();
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AGENT_REPORTER_H_
