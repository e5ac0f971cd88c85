#include "control/cli/rates.h"

namespace sluice::cli {
namespace {

using Key = std::pair<std::string, uint32_t>;

std::map<Key, const wire::Queue*> Index(const wire::StatsResponse& stats) {
  std::map<Key, const wire::Queue*> queues;
  for (const wire::Port& port : stats.ports()) {
    for (const wire::Queue& queue : port.queues()) {
      queues[{port.name(), queue.index()}] = &queue;
    }
    if (port.has_bridge()) {
      queues[{port.name(), kBridgeIndex}] = &port.bridge();
    }
  }
  return queues;
}

double PerSecond(uint64_t before, uint64_t after, double seconds) {
  return after < before ? 0 : static_cast<double>(after - before) / seconds;
}

}  // namespace

Rates::Rates(const wire::StatsResponse& before, const wire::StatsResponse& after) {
  if (after.monotonic_ns() <= before.monotonic_ns()) {
    return;
  }
  const double seconds = static_cast<double>(after.monotonic_ns() - before.monotonic_ns()) / 1e9;
  const std::map<Key, const wire::Queue*> old_queues = Index(before);
  for (const auto& [key, queue] : Index(after)) {
    if (const auto old = old_queues.find(key); old != old_queues.end()) {
      rates_[key] = {PerSecond(old->second->rx_packets(), queue->rx_packets(), seconds),
                     PerSecond(old->second->tx_packets(), queue->tx_packets(), seconds),
                     PerSecond(Drops(*old->second), Drops(*queue), seconds)};
    }
  }
}

std::optional<QueueRate> Rates::Get(const std::string& port, uint32_t queue_index) const {
  const auto it = rates_.find({port, queue_index});
  return it == rates_.end() ? std::nullopt : std::optional<QueueRate>(it->second);
}

uint64_t Drops(const wire::Queue& queue) {
  uint64_t sum = 0;
  for (const auto& [reason, count] : queue.drops()) {
    sum += count;
  }
  return sum;
}

}  // namespace sluice::cli
