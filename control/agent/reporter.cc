#include "control/agent/reporter.h"

#include <string>
#include <utility>

#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kPeriod{1};

}  // namespace

absl::StatusOr<Reporter> Reporter::Start(const MetricsConfig& config) {
  Reporter reporter;
  if (!config.wanted) {
    return reporter;
  }
  const ListenAddress address = config.listen.value_or(ListenAddress());
  absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Listen(address.host, address.port);
  if (!server.ok() && config.listen.has_value()) {
    return server.status();
  }
  if (server.ok()) {
    reporter.server_ = *std::move(server);
  } else {
    spdlog::warn("going on without metrics: {}", std::string(server.status().message()));
  }
  return reporter;
}

void Reporter::Report(const Instance& instance) {
  const std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  if (server_ != nullptr && now >= next_) {
    server_->Publish(MakeStatus(instance, worker_times_));
    next_ = now + kPeriod;
  }
}

}  // namespace sluice
