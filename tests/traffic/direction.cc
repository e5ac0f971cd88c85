#include "tests/traffic/direction.h"

#include <algorithm>
#include <utility>

#include "tests/traffic/clock.h"

namespace sluice::flowgen {

TrafficDirection::TrafficDirection(std::string from, std::string to, const FrameFormat& format, Sender sender,
                                   std::unique_ptr<Receiver> receiver)
    : from_(std::move(from)),
      to_(std::move(to)),
      format_(format),
      sender_(std::move(sender)),
      receiver_(std::move(receiver)) {}

TrafficDirection::~TrafficDirection() {
  Finish().IgnoreError();
}

void TrafficDirection::Start() {
  receive_thread_ = std::thread([this] { receiver_->Run(stop_receiving_); });
  send_thread_ = std::thread([this] {
    send_status_ = sender_.Run(stop_sending_);
    finished_.store(true, std::memory_order_release);  // publishes send_status_
  });
}

absl::Status TrafficDirection::Finish() {
  StopSending();
  if (send_thread_.joinable()) {
    send_thread_.join();
  }
  stop_receiving_.store(true, std::memory_order_relaxed);
  if (receive_thread_.joinable()) {
    receive_thread_.join();
    Ledger& ledger = receiver_->ledger();
    for (uint32_t flow = 0; flow < sender_.flows(); ++flow) {
      ledger.Close(flow, sender_.flow_sent(flow), sender_.flow_last_send_ns(flow));
    }
  }
  return send_status_;
}

Direction TrafficDirection::Report(int64_t interval_ns, bool per_flow) const {
  const Ledger& ledger = receiver_->ledger();
  const Totals& totals = ledger.totals();
  const ReceiveTotals& received = receiver_->totals();
  const SendTotals& sent = sender_.totals();

  Direction report;
  report.set_from(from_);
  report.set_to(to_);
  report.set_flows(sender_.flows());
  report.set_size_bytes(format_.size_bytes);
  Counts& counts = *report.mutable_counts();
  counts.set_sent(sent.sent);
  counts.set_received(totals.received);
  counts.set_lost(totals.lost());
  counts.set_reordered(totals.reordered);
  counts.set_duplicated(totals.duplicated);
  counts.set_corrupted(received.corrupted);
  counts.set_receiver_dropped(received.dropped);

  const auto seconds = static_cast<double>(sent.last_send_ns - sent.first_send_ns) / kNsPerSecond;
  if (seconds > 0) {
    report.set_sent_pps(static_cast<double>(sent.sent) / seconds);
    report.set_received_pps(static_cast<double>(totals.received) / seconds);
  }
  report.set_macs_swapped(received.macs_swapped);
  report.set_macs_unchanged(received.macs_unchanged);
  report.set_bad_checksum(received.bad_checksum);
  report.set_bad_vlan(received.bad_vlan);
  report.set_misdirected(received.misdirected);
  report.set_impossible(totals.impossible);
  report.set_foreign(received.foreign);
  report.set_reorder_max_distance(totals.reorder_max_distance);
  report.set_longest_gap_ns(totals.longest_gap_ns);
  report.set_longest_gap_flow(totals.longest_gap_flow);
  report.set_latency_p50_ns(ledger.latency().Percentile(0.5));
  report.set_latency_p99_ns(ledger.latency().Percentile(0.99));
  report.set_latency_max_ns(ledger.latency().max_ns());
  report.set_send_refused(sent.refused);
  report.set_send_errors(sent.errors);
  report.set_window_written_off(sent.written_off);
  report.set_sender_longest_stall_ns(sent.longest_stall_ns);

  const std::vector<TimelineRow>& arrivals = ledger.timeline();
  const std::vector<uint64_t>& sendings = sender_.timeline();
  for (size_t i = 0; i < std::max(arrivals.size(), sendings.size()); ++i) {
    const TimelineRow row = i < arrivals.size() ? arrivals[i] : TimelineRow{.missing = ledger.missing()};
    ReportTimelineRow& out = *report.add_timeline();
    out.set_at_ms(static_cast<int64_t>(i) * interval_ns / kNsPerMs);
    out.set_sent(i < sendings.size() ? sendings[i] : 0);
    out.set_received(row.received);
    out.set_missing(row.missing);
    out.set_longest_gap_ns(row.longest_gap_ns);
    out.set_latency_p50_ns(row.latency_p50_ns);
    out.set_latency_p99_ns(row.latency_p99_ns);
    out.set_latency_max_ns(row.latency_max_ns);
  }
  for (uint32_t i = 0; per_flow && i < sender_.flows(); ++i) {
    const FlowTotals& flow = ledger.flow(i);
    ReportFlow& out = *report.add_per_flow();
    out.set_flow(i);
    out.set_sent(flow.sent);
    out.set_received(flow.received);
    out.set_lost(static_cast<int64_t>(flow.sent) - static_cast<int64_t>(flow.received));
    out.set_reordered(flow.reordered);
    out.set_duplicated(flow.duplicated);
    out.set_longest_gap_ns(flow.longest_gap_ns);
  }
  return report;
}

}  // namespace sluice::flowgen
