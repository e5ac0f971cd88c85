#include "tests/traffic/run.h"

#include <signal.h>

#include <algorithm>
#include <iostream>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "tests/traffic/clock.h"
#include "tests/traffic/direction.h"
#include "tests/traffic/netif.h"

namespace sluice::flowgen {
namespace {

// The time between opening everything and the first packet, in which the rings' first pages are touched.
constexpr int64_t kLeadNs = 5 * kNsPerMs;
constexpr int64_t kTickMs = 20;
constexpr int64_t kProgressNs = kNsPerSecond;
// A run whose packets keep coming ends after this many settling times.
constexpr int64_t kSettleLimit = 10;
// A packet of a closed loop that has not come for this long is lost.
constexpr int64_t kMissingNs = 20 * kNsPerSecond;

struct End {
  std::string name;
  std::string netns;
  NetifInfo info;
  NetifCounters before;
};

absl::StatusOr<End> OpenEnd(const std::string& name, const std::string& netns) {
  if (!netns.empty()) {
    absl::Status entered = EnterNetns(netns);
    if (!entered.ok()) {
      return entered;
    }
  }
  absl::StatusOr<NetifInfo> info = FindNetif(name);
  if (!info.ok()) {
    return info.status();
  }
  return End{.name = name, .netns = netns, .info = *info, .before = ReadNetifCounters(name)};
}

absl::Status Enter(const End& end) {
  return end.netns.empty() ? absl::OkStatus() : EnterNetns(end.netns);
}

absl::StatusOr<std::unique_ptr<TrafficDirection>> OpenDirection(const Options& options, const End& from, const End& to,
                                                                uint8_t index, uint16_t run, int64_t start_ns) {
  FrameFormat format = options.format;
  format.src_mac = from.info.mac;
  format.dst_mac = (index == 0 ? options.dst_mac : options.back_dst_mac).value_or(to.info.mac);
  format.reversed = index == 1;
  const int64_t interval_ns = options.timeline_ms * kNsPerMs;

  absl::Status entered = Enter(to);
  if (!entered.ok()) {
    return entered;
  }
  absl::StatusOr<PacketRing> ring = PacketRing::Open(to.info.index, format.size_bytes);
  if (!ring.ok()) {
    return ring.status();
  }
  auto receiver = std::make_unique<Receiver>(*std::move(ring), ReceivePlan{.run = run,
                                                                           .direction = index,
                                                                           .flows = options.flows,
                                                                           .src_mac = format.src_mac,
                                                                           .dst_mac = format.dst_mac,
                                                                           .vlan = format.vlan,
                                                                           .start_ns = start_ns,
                                                                           .interval_ns = interval_ns});
  entered = Enter(from);
  if (!entered.ok()) {
    return entered;
  }
  SendPlan plan{
      .run = run,
      .direction = index,
      .flows = options.flows,
      .rate_pps = options.rate_pps,
      .count = options.count,
      .end_ns = options.duration_s > 0 ? start_ns + static_cast<int64_t>(options.duration_s * kNsPerSecond) : 0,
      .window = options.window,
      .start_ns = start_ns,
      .interval_ns = interval_ns};
  absl::StatusOr<Sender> sender =
      Sender::Open(from.info.index, format, plan, [ledger = &receiver->ledger()] { return ledger->received(); });
  if (!sender.ok()) {
    return sender.status();
  }
  return std::make_unique<TrafficDirection>(from.name, to.name, format, *std::move(sender), std::move(receiver));
}

// Waits a tick. Returns true if a signal came.
bool WaitTick(const sigset_t& signals) {
  const timespec tick = {.tv_sec = 0, .tv_nsec = kTickMs * kNsPerMs};
  return sigtimedwait(&signals, nullptr, &tick) > 0;
}

using Directions = std::vector<std::unique_ptr<TrafficDirection>>;

void PrintProgress(const Directions& directions, int64_t elapsed_ns) {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t missing = 0;
  for (const auto& direction : directions) {
    sent += direction->sent();
    received += direction->ledger().received();
    missing += direction->ledger().missing();
  }
  std::cerr << absl::StrFormat("%4d s  sent %d  received %d  missing %d\n", elapsed_ns / kNsPerSecond, sent, received,
                               missing);
}

void Send(const Directions& directions, const sigset_t& signals, bool progress, int64_t start_ns) {
  int64_t next_progress_ns = start_ns + kProgressNs;
  while (!std::all_of(directions.begin(), directions.end(), [](const auto& d) { return d->finished(); })) {
    if (WaitTick(signals)) {
      for (const auto& direction : directions) {
        direction->StopSending();
      }
    }
    const int64_t now_ns = NowNs();
    if (progress && now_ns >= next_progress_ns) {
      PrintProgress(directions, now_ns - start_ns);
      next_progress_ns += kProgressNs;
    }
  }
}

// Waits for late packets. In a closed loop it waits longer for missing ones, since a busy machine may delay them.
void Settle(const Directions& directions, const sigset_t& signals, double settle_s, bool closed_loop) {
  const auto settle_ns = static_cast<int64_t>(settle_s * kNsPerSecond);
  const int64_t missing_ns = closed_loop ? std::max(settle_ns, kMissingNs) : settle_ns;
  const auto all_arrived = [&directions] {
    return std::all_of(directions.begin(), directions.end(),
                       [](const auto& direction) { return direction->ledger().received() >= direction->sent(); });
  };
  const int64_t begin_ns = NowNs();
  int64_t quiet_since_ns = begin_ns;
  while (NowNs() - quiet_since_ns < (all_arrived() ? settle_ns : missing_ns) &&
         NowNs() - begin_ns < missing_ns * kSettleLimit) {
    if (WaitTick(signals)) {
      return;
    }
    for (const auto& direction : directions) {
      quiet_since_ns = std::max(quiet_since_ns, direction->ledger().last_arrival_ns());
    }
  }
}

void AddTo(Counts& total, const Counts& part) {
  total.set_sent(total.sent() + part.sent());
  total.set_received(total.received() + part.received());
  total.set_lost(total.lost() + part.lost());
  total.set_reordered(total.reordered() + part.reordered());
  total.set_duplicated(total.duplicated() + part.duplicated());
  total.set_corrupted(total.corrupted() + part.corrupted());
  total.set_receiver_dropped(total.receiver_dropped() + part.receiver_dropped());
}

bool IsExact(const Direction& d) {
  const Counts& c = d.counts();
  return c.sent() > 0 && c.lost() == 0 && c.reordered() == 0 && c.duplicated() == 0 && c.corrupted() == 0 &&
         d.bad_checksum() == 0 && d.bad_vlan() == 0 && d.misdirected() == 0 && d.impossible() == 0;
}

void ReportEnd(const End& end, Report& report) {
  const NetifCounters now = Enter(end).ok() ? ReadNetifCounters(end.name) : NetifCounters{};
  Interface& out = *report.add_interfaces();
  out.set_name(end.name);
  out.set_rx_packets(now.rx_packets - end.before.rx_packets);
  out.set_rx_dropped(now.rx_dropped - end.before.rx_dropped);
  out.set_tx_packets(now.tx_packets - end.before.tx_packets);
  out.set_tx_dropped(now.tx_dropped - end.before.tx_dropped);
}

}  // namespace

absl::StatusOr<Report> RunTraffic(const Options& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);  // the threads inherit this, so that only WaitTick() gets the signals

  absl::StatusOr<End> a = OpenEnd(options.tx, options.netns);
  if (!a.ok()) {
    return a.status();
  }
  absl::StatusOr<End> b = options.reflects() ? a : OpenEnd(options.rx, options.rx_netns);
  if (!b.ok()) {
    return b.status();
  }
  const auto run = static_cast<uint16_t>(std::random_device{}());
  const int64_t start_ns = NowNs() + kLeadNs;
  Directions directions;
  for (int index = 0; index < (options.both ? 2 : 1); ++index) {
    auto direction =
        OpenDirection(options, index == 0 ? *a : *b, index == 0 ? *b : *a, static_cast<uint8_t>(index), run, start_ns);
    if (!direction.ok()) {
      return direction.status();
    }
    directions.push_back(*std::move(direction));
  }
  for (const auto& direction : directions) {
    direction->Start();
  }
  Send(directions, signals, options.progress, start_ns);
  const int64_t end_ns = NowNs();
  Settle(directions, signals, options.settle_s, options.window > 0);

  Report report;
  report.set_run(run);
  report.set_start_ns(start_ns);
  report.set_seconds(static_cast<double>(end_ns - start_ns) / kNsPerSecond);
  report.set_exact(true);
  for (const auto& direction : directions) {
    absl::Status status = direction->Finish();
    if (!status.ok()) {
      return status;
    }
    *report.add_directions() = direction->Report(options.timeline_ms * kNsPerMs, options.per_flow);
    const Direction& last = report.directions(report.directions_size() - 1);
    AddTo(*report.mutable_total(), last.counts());
    report.set_exact(report.exact() && IsExact(last));
  }
  ReportEnd(*a, report);
  if (!options.reflects()) {
    ReportEnd(*b, report);
  }
  return report;
}

}  // namespace sluice::flowgen
