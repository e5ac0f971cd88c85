#include "control/port/port_set.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// Queues that closed sockets still hold are free after some 150 ms (lane_sockets.h).
constexpr absl::Duration kReleaseBound = absl::Seconds(10);

}  // namespace

std::vector<uint32_t> PairsToTry(const std::vector<uint32_t>& port_pairs) {
  const auto [lowest, highest] = std::minmax_element(port_pairs.begin(), port_pairs.end());
  if (lowest == port_pairs.end()) {
    return {};
  }
  return *lowest == *highest ? std::vector<uint32_t>{*lowest} : std::vector<uint32_t>{*lowest, *highest};
}

bool PortSet::Any(absl::FunctionRef<bool(const Port&)> is) const {
  return std::any_of(ports_.begin(), ports_.end(), [is](const std::unique_ptr<Port>& port) { return is(*port); });
}

absl::Status PortSet::ForAllOrNone(absl::FunctionRef<absl::Status(Port&)> change,
                                   absl::FunctionRef<absl::Status(Port&)> undo) {
  for (size_t done = 0; done < ports_.size(); ++done) {
    absl::Status s = change(*ports_[done]);
    if (s.ok()) {
      continue;
    }
    for (size_t i = done; i-- > 0;) {
      if (absl::Status undone = undo(*ports_[i]); !undone.ok()) {
        s = absl::Status(s.code(), absl::StrCat(s.message(), "; and putting it back: ", undone.message()));
      }
    }
    return s;
  }
  return absl::OkStatus();
}

absl::Status PortSet::ForEach(absl::FunctionRef<absl::Status(Port&)> change) {
  absl::Status first;
  for (Port& port : *this) {
    first.Update(change(port));
  }
  return first;
}

std::vector<uint32_t> PortSet::QueuePairs() const {
  std::vector<uint32_t> pairs;
  pairs.reserve(ports_.size());
  for (const Port& port : *this) {
    pairs.push_back(port.queue_pairs());
  }
  return pairs;
}

absl::Status PortSet::MakePairsAgree() {
  absl::Status s;
  for (const uint32_t pairs : PairsToTry(QueuePairs())) {
    s = absl::OkStatus();
    for (Port& port : *this) {
      if (s.ok() && port.queue_pairs() != pairs) {
        spdlog::warn("{} has {} queue pairs and another port has not: making it {}", port.netdev(), port.queue_pairs(),
                     pairs);
        s = SetPairsOf(port, pairs);
      }
    }
    if (s.ok()) {
      return s;
    }
    spdlog::warn("{}", std::string(s.message()));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("all ports need the same number of queue pairs and cannot be given it (ethtool -L): ", s.message()));
}

// The driver refuses channels while XDP is on (drivers/net/virtio_net.c: virtnet_set_channels).
absl::Status PortSet::SetPairsOf(Port& port, uint32_t pairs) {
  absl::Status s = port.SuspendXdp();
  if (s.ok()) {
    s = port.SetQueuePairs(pairs, SteadyTime::Now() + kReleaseBound);
    s.Update(port.ResumeXdp());
  }
  return s;
}

absl::Status PortSet::SpreadOver(uint32_t from, uint32_t to) {
  return ForAllOrNone([to](Port& port) { return port.SpreadOver(to); },
                      [from](Port& port) { return port.SpreadOver(from); });
}

absl::Status PortSet::WriteRssTables(uint32_t count) {
  for (Port& port : *this) {
    if (port.info().has_rss) {
      if (absl::Status s = port.SpreadOver(count); !s.ok()) {
        return s;
      }
    }
  }
  return absl::OkStatus();
}

absl::Status PortSet::Reconcile(uint32_t active_pairs, std::optional<uint32_t> frame_size_bytes) {
  absl::Status programs;
  std::vector<std::string> degraded;
  bool attached_xdp = false;
  saved_changed_ = false;
  for (Port& port : *this) {
    const Reconciled found = port.Reconcile(frame_size_bytes);
    programs.Update(OnPort(port.netdev(), found.programs));
    for (const std::string& repaired : found.repaired) {
      spdlog::warn("{}: somebody took away or changed {}; it is back", port.name(), repaired);
    }
    for (const std::string& difference : found.degraded) {
      degraded.push_back(absl::StrCat(port.name(), ": ", difference));
    }
    attached_xdp = attached_xdp || found.attached_xdp;
    saved_changed_ = saved_changed_ || found.renamed;
  }
  if (absl::Status s = attached_xdp ? WriteRssTables(active_pairs) : absl::OkStatus(); !s.ok()) {
    degraded.push_back(absl::StrCat("RSS table: ", s.message()));
  }
  if (degraded != degraded_) {
    for (const std::string& difference : degraded) {
      spdlog::error("degraded: {}", difference);
    }
    if (degraded.empty()) {
      spdlog::info("no longer degraded");
    }
    degraded_ = std::move(degraded);
  }
  return programs;
}

bool PortSet::TakeBack() {
  bool any = false;
  for (Port& port : *this) {
    if (port.gone() && port.TakeBack().ok()) {  // an error is in the next Reconcile()'s words
      spdlog::warn("{}: took {} back", port.name(), port.netdev());
      any = true;
    }
  }
  saved_changed_ = saved_changed_ || any;
  return any;
}

bool PortSet::FlowsFollowTransmit() const {
  return !Any([](const Port& port) { return !port.info().FlowsFollowTransmit(); });
}

uint32_t PortSet::frame_size_bytes() const {
  uint32_t bytes = 0;
  for (const Port& port : *this) {
    bytes = std::max(bytes, port.info().frame_size_bytes);
  }
  return bytes;
}

void PortSet::SetDownPolicies(const std::vector<PortConfig>& ports) {
  for (const PortConfig& wanted : ports) {
    for (Port& port : *this) {
      if (port.name() == wanted.name) {
        port.SetDownPolicy(wanted.on_dataplane_down);
      }
    }
  }
}

void PortSet::Save(SavedState& state) const {
  state.clear_ports();
  for (const Port& port : *this) {
    *state.add_ports() = port.saved();
  }
}

absl::Status PortSet::TakeDown(std::vector<std::string>& put_back) {
  absl::Status first = ForEach([&](Port& port) {
    absl::Status s = port.TakeDown();
    if (s.ok()) {
      put_back.push_back(port.saved().netdev());
    }
    return s;
  });
  ports_.clear();
  return first;
}

}  // namespace sluice
