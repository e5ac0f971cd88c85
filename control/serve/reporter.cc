#include "control/serve/reporter.h"

#include <string>
#include <utility>

#include "spdlog/spdlog.h"

namespace sluice {
namespace {

constexpr std::chrono::seconds kPeriod{1};

uint16_t PortOf(const MetricsConfig& config) {
  return config.wanted ? config.listen.value_or(ListenAddress()).port : 0;
}

}  // namespace

absl::StatusOr<Reporter::Server> Reporter::Serve(const MetricsConfig& config) {
  if (!config.wanted) {
    return Server();
  }
  const ListenAddress address = config.listen.value_or(ListenAddress());
  absl::StatusOr<Server> server = MetricsServer::Listen(address.host, address.port);
  if (!server.ok() && !config.listen.has_value()) {
    spdlog::warn("going on without metrics: {}", std::string(server.status().message()));
    return Server();
  }
  return server;
}

absl::StatusOr<Reporter> Reporter::Start(const MetricsConfig& config) {
  Reporter reporter;
  absl::StatusOr<Server> server = Serve(config);
  if (!server.ok()) {
    return server.status();
  }
  reporter.server_ = *std::move(server);
  reporter.config_ = config;
  return reporter;
}

absl::Status Reporter::Listen(const MetricsConfig& config) {
  if (config == config_) {
    return absl::OkStatus();
  }
  const bool gave_up = server_ != nullptr && PortOf(config) == PortOf(config_);
  if (gave_up) {
    server_.reset();
  }
  absl::StatusOr<Server> server = Serve(config);
  if (server.ok()) {
    server_ = *std::move(server);
    config_ = config;
    next_ = {};  // it has something to say at once
    return absl::OkStatus();
  }
  if (gave_up) {
    if (absl::StatusOr<Server> again = Serve(config_); again.ok()) {
      server_ = *std::move(again);
    } else {
      spdlog::error("going on without metrics: {}", std::string(again.status().message()));
    }
  }
  return server.status();
}

void Reporter::Report(const Served& served, const wire::ConfigStatus& config_status) {
  const std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now();
  if (server_ != nullptr && now >= next_) {
    wire::StatusResponse status = MakeStatus(served, worker_times_);
    *status.mutable_config() = config_status;
    server_->Publish(std::move(status));
    next_ = now + kPeriod;
  }
}

}  // namespace sluice
