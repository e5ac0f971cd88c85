#include "tests/traffic/summary.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice::flowgen {
namespace {

double Us(int64_t ns) {
  return static_cast<double>(ns) / 1e3;
}
double Ms(int64_t ns) {
  return static_cast<double>(ns) / 1e6;
}

// Appends a line unless the value is 0.
void AppendIf(std::string& out, uint64_t value, const char* what) {
  if (value != 0) {
    absl::StrAppendFormat(&out, "  %-12s %d  %s\n", "", value, what);
  }
}

void AppendDirection(std::string& out, const Direction& d) {
  const Counts& c = d.counts();
  absl::StrAppendFormat(&out, "%s -> %s  %d flows of %d-byte frames, %.0f pps\n", d.from(), d.to(), d.flows(),
                        d.size_bytes(), d.sent_pps());
  absl::StrAppendFormat(&out, "  %-12s %d\n  %-12s %d\n  %-12s %d\n", "sent", c.sent(), "received", c.received(),
                        "lost", c.lost());
  absl::StrAppendFormat(&out, "  %-12s %d\n  %-12s %d\n  %-12s %d\n", "reordered", c.reordered(), "duplicated",
                        c.duplicated(), "corrupted", c.corrupted());
  absl::StrAppendFormat(&out, "  %-12s %.2f ms beyond a flow's own spacing (flow %d)\n", "longest gap",
                        Ms(d.longest_gap_ns()), d.longest_gap_flow());
  absl::StrAppendFormat(&out, "  %-12s p50 %.1f us, p99 %.1f us, max %.1f us\n", "latency", Us(d.latency_p50_ns()),
                        Us(d.latency_p99_ns()), Us(d.latency_max_ns()));
  absl::StrAppendFormat(&out, "  %-12s %d swapped, %d unchanged\n", "MACs", d.macs_swapped(), d.macs_unchanged());
  AppendIf(out, c.receiver_dropped(), "of the lost were dropped by this program's own full ring");
  AppendIf(out, d.bad_checksum(), "with a wrong IPv4 or UDP checksum");
  AppendIf(out, d.bad_vlan(), "with another VLAN tag than was sent");
  AppendIf(out, d.misdirected(), "came back where they were sent");
  AppendIf(out, d.impossible(), "with a flow or sequence that was never sent");
  AppendIf(out, d.send_refused(), "times the kernel refused to send (full queue); tried again");
  AppendIf(out, d.send_errors(), "times sending failed; tried again");
  AppendIf(out, d.window_written_off(), "given up by the window as lost");
  if (d.timeline_size() > 0) {
    absl::StrAppendFormat(&out, "  %8s %10s %10s %10s %12s\n", "ms", "sent", "received", "missing", "gap ms");
    for (const ReportTimelineRow& row : d.timeline()) {
      absl::StrAppendFormat(&out, "  %8d %10d %10d %10d %12.2f\n", row.at_ms(), row.sent(), row.received(),
                            row.missing(), Ms(row.longest_gap_ns()));
    }
  }
  for (const ReportFlow& flow : d.per_flow()) {
    absl::StrAppendFormat(&out, "  flow %d: sent %d, received %d, lost %d, reordered %d, duplicated %d, gap %.2f ms\n",
                          flow.flow(), flow.sent(), flow.received(), flow.lost(), flow.reordered(), flow.duplicated(),
                          Ms(flow.longest_gap_ns()));
  }
}

}  // namespace

std::string Summary(const Report& report) {
  std::string out;
  for (const Direction& direction : report.directions()) {
    AppendDirection(out, direction);
  }
  for (const Interface& netif : report.interfaces()) {
    if (netif.rx_dropped() + netif.tx_dropped() > 0) {
      absl::StrAppendFormat(&out, "%s dropped %d on receive, %d on transmit\n", netif.name(), netif.rx_dropped(),
                            netif.tx_dropped());
    }
  }
  absl::StrAppendFormat(&out, "%.1f s: %s\n", report.seconds(),
                        report.exact() ? "every packet came once, in order, unharmed" : "NOT exact");
  return out;
}

}  // namespace sluice::flowgen
