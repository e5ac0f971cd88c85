#include "control/cli/render_status.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "control/cli/render_config.h"
#include "control/cli/render_resize.h"
#include "control/wire/levers.h"

namespace sluice::cli {
namespace {

std::string XdpText(const wire::Xdp& xdp) {
  if (xdp.mode().empty()) {
    return "off";
  }
  return absl::StrCat(xdp.mode(), xdp.attached_by().empty() ? "" : absl::StrCat(" by ", xdp.attached_by()),
                      xdp.other_programs() == 0 ? "" : absl::StrCat(" +", xdp.other_programs(), " other"));
}

std::string PortsTable(const wire::StatusResponse& status, Style style) {
  Table table(
      {{"PORT"}, {"NETDEV"}, {"DRIVER"}, {"PAIRS", true}, {"OPEN", true}, {"MAX", true}, {"WANTED", true}, {"XDP"}});
  for (const wire::Port& port : status.ports()) {
    const wire::QueuePairs& pairs = port.queue_pairs();
    table.Add({port.name(), port.netdev(), port.driver(), absl::StrCat(pairs.current()), absl::StrCat(pairs.open()),
               absl::StrCat(pairs.max()), absl::StrCat(pairs.wanted()), XdpText(port.xdp())});
  }
  return table.Text(style);
}

// Names each reason for a mode once, with the queues that have it.
std::string ModeReasons(const wire::StatusResponse& status, Style style) {
  std::map<std::pair<std::string, std::string>, std::vector<std::string>> queues_of;
  for (const wire::Port& port : status.ports()) {
    for (const wire::Queue& queue : port.queues()) {
      if (!queue.mode_reason().empty()) {
        queues_of[{queue.mode(), queue.mode_reason()}].push_back(absl::StrCat(port.name(), " ", queue.index()));
      }
    }
  }
  std::string text;
  for (const auto& [why, queues] : queues_of) {
    text += Wrap(absl::StrCat(why.first, ": "), absl::StrCat(why.second, " (", absl::StrJoin(queues, ", "), ")"),
                 style.text_columns());
  }
  return text;
}

std::string HugePages(const wire::StatusResponse& status, Style style) {
  std::vector<std::string> queues;
  for (const wire::Port& port : status.ports()) {
    for (const wire::Queue& queue : port.queues()) {
      if (queue.huge_pages()) {
        queues.push_back(absl::StrCat(port.name(), " ", queue.index()));
      }
    }
  }
  return queues.empty()
             ? ""
             : Wrap("memory: ", absl::StrCat("huge pages (", absl::StrJoin(queues, ", "), ")"), style.text_columns());
}

// Renders counters that are usually 0, a line for each port where one is not.
std::string Oddities(const wire::StatusResponse& status, Style style) {
  std::string text;
  for (const wire::Port& port : status.ports()) {
    const std::string first = absl::StrCat(port.name(), ": ");
    if (port.rx_drops() + port.rx_xdp_drops() > 0) {
      text += Wrap(first,
                   absl::StrCat("rx_drops ", port.rx_drops(), ", xdp_drops ", port.rx_xdp_drops(), " by ",
                                port.driver(), "'s own count; `sluicectl doctor ", port.name(), "` says more"),
                   style.text_columns());
    }
    uint64_t completed = port.bridge().checksums_completed();
    for (const auto* queues : {&port.queues(), &port.closed_queues()}) {
      for (const wire::Queue& queue : *queues) {
        completed += queue.checksums_completed();
      }
    }
    if (completed > 0) {
      text += Wrap(first, absl::StrCat(completed, " packets had a partial checksum, which was completed"),
                   style.text_columns());
    }
  }
  return text;
}

void AddQueue(Table& table, const wire::Port& port, const wire::Queue& queue, uint32_t index, const Rates& rates) {
  const bool bridge = index == kBridgeIndex;
  const std::optional<QueueRate> rate = rates.Get(port.name(), index);
  table.Add({port.name(), bridge ? "bridge" : absl::StrCat(index), absl::StrCat(queue.lane()),
             absl::StrCat(queue.worker()), queue.mode(), absl::StrCat(queue.rx_packets()),
             rate.has_value() ? Short(rate->rx_pps) : "-", absl::StrCat(queue.tx_packets()),
             rate.has_value() ? Short(rate->tx_pps) : "-", absl::StrCat(Drops(queue))});
}

std::string QueuesTable(const wire::StatusResponse& status, const Rates& rates, Style style) {
  Table table({{"PORT"},
               {"QUEUE", true},
               {"LANE", true},
               {"WORKER", true},
               {"MODE"},
               {"RX PACKETS", true},
               {"RX/S", true},
               {"TX PACKETS", true},
               {"TX/S", true},
               {"DROPS", true}},
              /*keys=*/2);
  for (const wire::Port& port : status.ports()) {
    for (const wire::Queue& queue : port.queues()) {
      AddQueue(table, port, queue, queue.index(), rates);
    }
    if (port.has_bridge()) {
      AddQueue(table, port, port.bridge(), kBridgeIndex, rates);
    }
  }
  return table.Text(style);
}

std::string DataplaneLine(const wire::Dataplane& dataplane, Style style) {
  const bool running = dataplane.state() == "running";
  std::string line =
      absl::StrCat("dataplane ", Paint(dataplane.state(), running ? Colour::kGreen : Colour::kRed, style));
  if (running) {
    absl::StrAppend(&line, ", pid ", dataplane.pid());
  }
  if (!dataplane.function().empty()) {
    absl::StrAppend(&line, ", function ", dataplane.function());
  }
  absl::StrAppend(&line, ", restarted ", dataplane.restarts(), dataplane.restarts() == 1 ? " time" : " times");
  if (!dataplane.why_lost().empty()) {
    absl::StrAppend(&line, " (the last time: ", dataplane.why_lost(), ")");
  }
  return line;
}

std::string OffloadLine(const wire::Offload& offload, Style style) {
  return offload.on() ? Wrap("offload: ", absl::StrCat("on, ", offload.flows(), " flows"), style.text_columns())
                      : Wrap("offload: ", absl::StrCat("off; ", offload.reason()), style.text_columns());
}

// Says what is wrong with the ports, a line each.
std::string DegradedLines(const wire::StatusResponse& status, Style style) {
  std::string text;
  for (const std::string& difference : status.degraded()) {
    text += Wrap(Paint("degraded: ", Colour::kYellow, style), difference, style.text_columns());
  }
  return text;
}

// Names the lever that led to a port's present state.
std::string Lever(const wire::StatusResponse& status, const wire::Port& port) {
  if (port.queue_pairs().open() > port.queue_pairs().current()) {
    return wire::kSpreadLever;
  }
  const wire::LastResize& last = status.last_resize();
  return last.method().empty() || last.result() != "done" ? "-" : last.method();
}

}  // namespace

std::string RenderBalance(const wire::Balance& balance, Style style) {
  const std::string verdict = balance.unaccounted() == 0
                                  ? Paint("balanced", Colour::kGreen, style)
                                  : Paint(absl::StrCat("unaccounted: ", balance.unaccounted()), Colour::kYellow, style);
  return absl::StrCat(
      Wrap("",
           absl::StrCat("received ", balance.received(), " + originated ", balance.originated(), " = transmitted ",
                        balance.transmitted(), " + passed ", balance.passed(), " + offloaded ", balance.offloaded(),
                        " + dropped ", balance.dropped(), " + held ", balance.held()),
           style.text_columns()),
      verdict, "\n");
}

std::string RenderWorkers(const wire::StatusResponse& status, Style style) {
  Table table({{"WORKER", true}, {"CORE", true}, {"BUSY", true}, {"LANES"}});
  for (const wire::Worker& worker : status.workers()) {
    table.Add({absl::StrCat(worker.index()), absl::StrCat(worker.core()),
               absl::StrFormat("%.0f%%", worker.busy_ratio() * 100),
               worker.lanes().empty() ? "none" : absl::StrJoin(worker.lanes(), ",")});
  }
  return table.Text(style);
}

std::string RenderAutoscale(const wire::Autoscale& autoscale, Style style) {
  if (autoscale.mode() != "auto" && autoscale.mode() != "hold") {
    return "";
  }
  return Wrap(absl::StrCat(autoscale.mode(), ": "),
              absl::StrCat(autoscale.pairs(), " of ", autoscale.min(), "..", autoscale.max(),
                           autoscale.why().empty() ? "" : ", ", autoscale.why()),
              style.text_columns());
}

std::string RenderStatus(const wire::StatusResponse& status, const Rates& rates, Style style) {
  std::string text = absl::StrCat(
      Wrap("", absl::StrCat("sluice ", status.version(), ", ", DataplaneLine(status.dataplane(), style)),
           style.line_columns()),
      DegradedLines(status, style), "\n", PortsTable(status, style), RenderAutoscale(status.autoscale(), style), "\n",
      QueuesTable(status, rates, style), ModeReasons(status, style),
      status.has_offload() ? OffloadLine(status.offload(), style) : "", HugePages(status, style),
      Oddities(status, style), "\n", RenderWorkers(status, style), "\n", RenderBalance(status.balance(), style));
  if (status.has_last_resize() && !status.last_resize().method().empty()) {
    absl::StrAppend(&text, "\n", RenderOutcome(status.last_resize(), style, "last resize: "));
  }
  if (!status.config().file().empty()) {
    absl::StrAppend(&text, "\n", RenderConfigStatus(status.config(), style));
  }
  return text;
}

std::string RenderQueues(const wire::StatusResponse& status, Style style) {
  Table ports({{"PORT"}, {"NETDEV"}, {"CURRENT", true}, {"MAX", true}, {"WANTED", true}, {"OPEN", true}, {"LEVER"}});
  Table queues({{"PORT"}, {"QUEUE", true}, {"LANE", true}, {"WORKER", true}, {"MODE"}}, /*keys=*/2);
  for (const wire::Port& port : status.ports()) {
    const wire::QueuePairs& pairs = port.queue_pairs();
    ports.Add({port.name(), port.netdev(), absl::StrCat(pairs.current()), absl::StrCat(pairs.max()),
               absl::StrCat(pairs.wanted()), absl::StrCat(pairs.open()), Lever(status, port)});
    for (const wire::Queue& queue : port.queues()) {
      queues.Add({port.name(), absl::StrCat(queue.index()), absl::StrCat(queue.lane()), absl::StrCat(queue.worker()),
                  queue.mode()});
    }
  }
  return absl::StrCat(ports.Text(style), RenderAutoscale(status.autoscale(), style),
                      queues.empty() ? "" : absl::StrCat("\n", queues.Text(style)), ModeReasons(status, style));
}

}  // namespace sluice::cli
