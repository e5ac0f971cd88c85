#include "control/cli/render_stats.h"

#include <map>
#include <optional>

#include "absl/strings/str_cat.h"
#include "control/cli/render_status.h"

namespace sluice::cli {
namespace {

// Adds a row for each reason or verdict that counted something.
void AddCounts(Table& table, const std::string& port, const std::string& kind,
               const std::map<std::string, uint64_t>& counts) {
  for (const auto& [name, count] : counts) {
    if (count != 0) {
      table.Add({port, kind, name, absl::StrCat(count)});
    }
  }
}

}  // namespace

std::string RenderStats(const wire::StatsResponse& stats, const Rates& rates, Style style) {
  Table queues({{"PORT"},
                {"QUEUE", true},
                {"RX PACKETS", true},
                {"RX/S", true},
                {"TX PACKETS", true},
                {"TX/S", true},
                {"DROPS", true},
                {"DROPS/S", true}},
               /*keys=*/2);
  Table counts({{"PORT"}, {"KIND"}, {"NAME"}, {"PACKETS", true}}, /*keys=*/3);
  for (const wire::Port& port : stats.ports()) {
    std::map<std::string, uint64_t> drops, verdicts, checksums;
    const auto add = [&](const wire::Queue& queue, uint32_t index) {
      const std::optional<QueueRate> rate = rates.Get(port.name(), index);
      queues.Add({port.name(), index == kBridgeIndex ? "bridge" : absl::StrCat(index), absl::StrCat(queue.rx_packets()),
                  rate.has_value() ? Short(rate->rx_pps) : "-", absl::StrCat(queue.tx_packets()),
                  rate.has_value() ? Short(rate->tx_pps) : "-", absl::StrCat(Drops(queue)),
                  rate.has_value() ? Short(rate->drops_pps) : "-"});
      for (const auto& [reason, count] : queue.drops()) {
        drops[reason] += count;
      }
      for (const auto& [verdict, count] : queue.xdp_packets()) {
        verdicts[verdict] += count;
      }
      checksums["completed"] += queue.checksums_completed();
    };
    for (const wire::Queue& queue : port.queues()) {
      add(queue, queue.index());
    }
    if (port.has_bridge()) {
      add(port.bridge(), kBridgeIndex);
    }
    AddCounts(counts, port.name(), "xdp", verdicts);
    AddCounts(counts, port.name(), "drop", drops);
    AddCounts(counts, port.name(), "checksum", checksums);
    AddCounts(counts, port.name(), "driver", {{"rx_drops", port.rx_drops()}, {"rx_xdp_drops", port.rx_xdp_drops()}});
  }
  return absl::StrCat(queues.Text(style), counts.empty() ? "" : absl::StrCat("\n", counts.Text(style)), "\n",
                      RenderBalance(stats.balance(), style));
}

}  // namespace sluice::cli
