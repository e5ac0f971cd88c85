#include "control/agent/reporter.h"

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(1);

}  // namespace

absl::StatusOr<Reporter> Reporter::Start(const MetricsConfig& config) {
  Reporter reporter;
  if (config.listen == "") {
    return reporter;
  }
  absl::StatusOr<std::unique_ptr<MetricsServer>> server =
      MetricsServer::Listen(config.listen.value_or(kDefaultMetricsAddress));
  if (!server.ok() && config.listen.has_value()) {
    return server.status();
  }
  if (server.ok()) {
    reporter.server_ = server->release();
  } else {
    spdlog::warn("going on without metrics: {}", std::string(server.status().message()));
  }
  return reporter;
}

void Reporter::Report(const Instance& instance) {
  const absl::Time now = absl::Now();
  if (server_ != nullptr && now >= next_) {
    server_->Publish(MakeStatus(instance, worker_times_));
    next_ = now + kPeriod;
  }
}

}  // namespace sluice
