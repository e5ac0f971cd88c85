#include "control/metrics/families.h"

#include <map>
#include <string>
#include <utility>

namespace sluice {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr double kNsPerSecond = 1e9;

double Seconds(uint64_t nanoseconds) {
  return static_cast<double>(nanoseconds) / kNsPerSecond;
}

// One metric with all its label values.
class Family {
 public:
  Family(const char* name, const char* help, MetricType type) {
    family_.name = name;
    family_.help = help;
    family_.type = type;
  }

  void Add(Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    metric.gauge.value = value;
    family_.metric.push_back(std::move(metric));
  }
  void Add(Labels labels, uint64_t value) { Add(std::move(labels), static_cast<double>(value)); }
  // Adds a summary without quantiles.
  void Add(Labels labels, uint64_t count, double sum) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.summary.sample_count = count;
    metric.summary.sample_sum = sum;
    family_.metric.push_back(std::move(metric));
  }

  MetricFamily Take() { return std::move(family_); }

 private:
  MetricFamily family_;
};

Family Counter(const char* name, const char* help) {
  return Family(name, help, MetricType::Counter);
}

Family Gauge(const char* name, const char* help) {
  return Family(name, help, MetricType::Gauge);
}

void AddPorts(const wire::StatusResponse& status, std::vector<MetricFamily>& out) {
  Family rx = Counter("sluice_rx_packets_total", "Packets the dataplane received, by queue pair or over the bridge.");
  Family tx = Counter("sluice_tx_packets_total", "Packets the dataplane sent.");
  Family drops = Counter("sluice_drops_total",
                         "Packets dropped, by reason; reasons that begin with kernel_ are the kernel's, at a socket.");
  Family xdp = Counter("sluice_xdp_packets_total", "Packets the XDP program saw, by its verdict.");
  Family tx_wakeups = Counter("sluice_tx_wakeups_total", "System calls that had the kernel send.");
  Family checksums = Counter("sluice_checksums_completed_total", "Packets received with a partial checksum.");
  Family rx_drops =
      Counter("sluice_rx_drops_total", "The driver's `drops` on receive, by its own count; see sluicectl doctor.");
  Family rx_xdp_drops = Counter("sluice_rx_xdp_drops_total", "The driver's `xdp_drops` on receive.");
  Family to_kernel = Counter("sluice_to_kernel_packets_total", "Packets of the dataplane that went on to the kernel.");
  Family strays = Counter("sluice_to_kernel_strays_total", "Packets of others on the way to the kernel: dropped.");
  Family pairs = Gauge("sluice_queue_pairs",
                       "Queue pairs: with traffic (current), with a socket (open), asked for "
                       "(wanted), of the device (max).");
  for (const wire::Port& port : status.ports()) {
    std::map<std::string, uint64_t> verdicts;
    const auto add_queue = [&](const wire::Queue& queue, const std::string& name) {
      rx.Add({{"port", port.name()}, {"queue", name}}, queue.rx_packets());
      tx.Add({{"port", port.name()}, {"queue", name}}, queue.tx_packets());
      tx_wakeups.Add({{"port", port.name()}, {"queue", name}}, queue.tx_wakeups());
      checksums.Add({{"port", port.name()}, {"queue", name}}, queue.checksums_completed());
      // Zeros as well: to a reader of metrics, a counter that begins at 1 has not increased.
      for (const std::string& reason : status.drop_reasons()) {
        const auto found = queue.drops().find(reason);
        drops.Add({{"port", port.name()}, {"queue", name}, {"reason", reason}},
                  found == queue.drops().end() ? 0 : found->second);
      }
      for (const auto& [verdict, count] : queue.xdp_packets()) {
        verdicts[verdict] += count;
      }
    };
    for (const auto* queues : {&port.queues(), &port.closed_queues()}) {
      for (const wire::Queue& queue : *queues) {
        add_queue(queue, std::to_string(queue.index()));
      }
    }
    add_queue(port.bridge(), "bridge");
    for (const auto& [verdict, count] : verdicts) {
      xdp.Add({{"port", port.name()}, {"verdict", verdict}}, count);
    }
    to_kernel.Add({{"port", port.name()}}, port.to_kernel());
    strays.Add({{"port", port.name()}}, port.to_kernel_strays());
    if (port.has_rx_drops()) {
      rx_drops.Add({{"port", port.name()}}, port.rx_drops());
      rx_xdp_drops.Add({{"port", port.name()}}, port.rx_xdp_drops());
    }
    const wire::QueuePairs& counts = port.queue_pairs();
    for (const auto& [state, count] : std::map<std::string, uint32_t>{{"current", counts.current()},
                                                                      {"max", counts.max()},
                                                                      {"open", counts.open()},
                                                                      {"wanted", counts.wanted()}}) {
      pairs.Add({{"port", port.name()}, {"state", state}}, uint64_t{count});
    }
  }
  for (Family* family :
       {&rx, &tx, &drops, &xdp, &checksums, &tx_wakeups, &to_kernel, &strays, &rx_drops, &rx_xdp_drops, &pairs}) {
    out.push_back(family->Take());
  }
}

void AddBalance(const wire::Balance& balance, std::vector<MetricFamily>& out) {
  const auto add = [&out](Family family, double value) {
    family.Add({}, value);
    out.push_back(family.Take());
  };
  add(Counter("sluice_received_packets_total", "The accounting law, left side: received on any port."),
      static_cast<double>(balance.received()));
  add(Counter("sluice_originated_packets_total", "The accounting law, left side: made by the dataplane itself."),
      static_cast<double>(balance.originated()));
  add(Counter("sluice_transmitted_packets_total", "The accounting law, right side: sent."),
      static_cast<double>(balance.transmitted()));
  add(Counter("sluice_passed_packets_total", "The accounting law, right side: given to the kernel."),
      static_cast<double>(balance.passed()));
  add(Counter("sluice_dropped_packets_total", "The accounting law, right side: dropped by the dataplane."),
      static_cast<double>(balance.dropped()));
  add(Counter("sluice_offloaded_packets_total", "The accounting law, right side: sent on by XDP, of offloaded flows."),
      static_cast<double>(balance.offloaded()));
  add(Gauge("sluice_held_packets", "The accounting law, right side: waiting in the dataplane."),
      static_cast<double>(balance.held()));
  add(Gauge("sluice_unaccounted_packets",
            "The accounting law's left side less its right; 0 when no packet is on its way."),
      static_cast<double>(balance.unaccounted()));
}

void AddWorkers(const wire::StatusResponse& status, std::vector<MetricFamily>& out) {
  Family busy =
      Gauge("sluice_worker_busy_ratio", "The part of the last second or so in which a worker handled packets, 0 to 1.");
  Family rounds = Counter("sluice_worker_busy_rounds_total",
                          "Turns over its lanes in which a worker found packets; packets by turn is the burst size.");
  Family sleeps = Counter("sluice_worker_sleeps_total", "Sleeps of a worker, and so its wake-ups.");
  for (const wire::Worker& worker : status.workers()) {
    const auto index = std::to_string(worker.index());
    busy.Add({{"worker", index}}, worker.busy_ratio());
    rounds.Add({{"worker", index}}, worker.busy_rounds());
    sleeps.Add({{"worker", index}}, worker.sleeps());
  }
  for (Family* family : {&busy, &rounds, &sleeps}) {
    out.push_back(family->Take());
  }
}

void AddResizes(const wire::StatusResponse& status, std::vector<MetricFamily>& out) {
  Family resizes = Counter("sluice_resizes_total", "Resizes since the agent started.");
  Family blocked("sluice_resize_blocked_seconds", "Time for which resizes had XDP off the port.", MetricType::Summary);
  Family held = Counter("sluice_resize_held_packets_total", "Packets that waited so that none overtook another.");
  Family lost = Counter("sluice_resize_lost_packets_total", "Packets counted as dropped while a resize ran.");
  Family reordered =
      Counter("sluice_resize_reordered_packets_total", "Packets released before all older ones were proven to be out.");
  for (const wire::ResizeCount& count : status.resizes()) {
    const Labels labels = {{"method", count.method()}, {"result", count.result()}};
    resizes.Add(labels, count.count());
    blocked.Add(labels, count.count(), Seconds(count.blocked_ns()));
    held.Add(labels, count.held());
    lost.Add(labels, count.lost());
    reordered.Add(labels, count.reordered());
  }
  for (Family* family : {&resizes, &blocked, &held, &lost, &reordered}) {
    out.push_back(family->Take());
  }
  if (!status.has_last_resize()) {
    return;
  }
  const wire::LastResize& last = status.last_resize();
  const auto add = [&out](Family family, Labels labels, double value) {
    family.Add(std::move(labels), value);
    out.push_back(family.Take());
  };
  add(Gauge("sluice_last_resize_info", "The last resize; always 1."),
      {{"method", last.method()},
       {"from", std::to_string(last.from())},
       {"to", std::to_string(last.to())},
       {"result", last.result()}},
      1);
  add(Gauge("sluice_last_resize_blocked_seconds", "Of the last resize: the time for which XDP was off the port."), {},
      Seconds(last.blocked_ns()));
  add(Gauge("sluice_last_resize_held_packets", "Of the last resize: packets that waited."), {},
      static_cast<double>(last.held()));
  add(Gauge("sluice_last_resize_lost_packets", "Of the last resize: packets counted as dropped."), {},
      static_cast<double>(last.lost()));
  add(Gauge("sluice_last_resize_reordered_packets",
            "Of the last resize: the most packets that may have overtaken another."),
      {}, static_cast<double>(last.reordered()));
}

void AddAutoscale(const wire::Autoscale& autoscale, std::vector<MetricFamily>& out) {
  Family decisions = Counter("sluice_autoscale_decisions_total",
                             "Decisions about the number of queue pairs since the agent started, by reason.");
  for (const auto& [why, count] :
       std::map<std::string, uint64_t>(autoscale.decisions().begin(), autoscale.decisions().end())) {
    decisions.Add({{"why", why}}, count);
  }
  Family mode = Gauge("sluice_autoscale_on", "1 while the number of queue pairs follows the load.");
  mode.Add({}, uint64_t{autoscale.mode() == "auto" ? 1U : 0U});
  Family pairs =
      Gauge("sluice_autoscale_pairs", "Queue pairs that autoscale has chosen (target), and its bounds (min, max).");
  for (const auto& [which, count] : std::map<std::string, uint32_t>{
           {"max", autoscale.max()}, {"min", autoscale.min()}, {"target", autoscale.pairs()}}) {
    pairs.Add({{"which", which}}, uint64_t{count});
  }
  for (Family* family : {&decisions, &mode, &pairs}) {
    out.push_back(family->Take());
  }
}

void AddAgent(absl::Duration age, std::vector<MetricFamily>& out) {
  Family family = Gauge("sluice_status_age_seconds", "Time since the agent last looked; long while a resize runs.");
  family.Add({}, absl::ToDoubleSeconds(age));
  out.push_back(family.Take());
}

void AddDataplane(const wire::StatusResponse& status, std::vector<MetricFamily>& out) {
  Family info = Gauge("sluice_info", "Version and network function; always 1.");
  info.Add({{"version", status.version()}, {"function", status.dataplane().function()}}, uint64_t{1});
  out.push_back(info.Take());
  Family up = Gauge("sluice_dataplane_up", "1 while a dataplane has the ports' packets, 0 while there is none.");
  up.Add({}, uint64_t{status.dataplane().state() == "running" ? 1U : 0U});
  out.push_back(up.Take());
  Family degraded =
      Gauge("sluice_degraded", "Differences between the ports as wanted and as found that the agent cannot repair.");
  degraded.Add({}, uint64_t{static_cast<uint64_t>(status.degraded_size())});
  out.push_back(degraded.Take());
  Family restarts = Counter("sluice_dataplane_restarts_total", "Restarts of the dataplane, each after it had died.");
  restarts.Add({}, uint64_t{status.dataplane().restarts()});
  out.push_back(restarts.Take());
  Family hangs = Counter("sluice_dataplane_hangs_total", "Of these: it hung, or did not answer, and was killed.");
  hangs.Add({}, uint64_t{status.dataplane().hangs()});
  out.push_back(hangs.Take());
}

void AddFunction(const wire::Function& function, std::vector<MetricFamily>& out) {
  if (function.counters().empty()) {
    return;
  }
  Family counters =
      Counter("sluice_function_total", "The network function's own counters; sluicectl function says more.");
  for (const auto& [name, value] :
       std::map<std::string, uint64_t>(function.counters().begin(), function.counters().end())) {
    counters.Add({{"function", function.name()}, {"counter", name}}, value);
  }
  out.push_back(counters.Take());
}

void AddConfig(const wire::ConfigStatus& config, std::vector<MetricFamily>& out) {
  Family last_good = Gauge("sluice_config_last_good", "1 while the last good configuration runs: the file is broken.");
  last_good.Add({}, uint64_t{config.state() == "last good" ? 1U : 0U});
  out.push_back(last_good.Take());
  Family pending =
      Gauge("sluice_config_unconfirmed", "1 while an apply waits for confirmation, without which it is rolled back.");
  pending.Add({}, uint64_t{config.has_pending() ? 1U : 0U});
  out.push_back(pending.Take());
}

}  // namespace

std::vector<MetricFamily> MetricFamilies(const wire::StatusResponse& status, absl::Duration age) {
  std::vector<MetricFamily> families;
  AddAgent(age, families);
  AddDataplane(status, families);
  AddPorts(status, families);
  AddBalance(status.balance(), families);
  AddWorkers(status, families);
  AddResizes(status, families);
  AddAutoscale(status.autoscale(), families);
  AddFunction(status.function(), families);
  AddConfig(status.config(), families);
  return families;
}

}  // namespace sluice
