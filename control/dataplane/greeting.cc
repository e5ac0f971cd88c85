#include "control/dataplane/greeting.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {
namespace {

constexpr int kMaxSettings = 256;
constexpr size_t kMaxTextBytes = 1024;
constexpr uint32_t kMaxCpu = 8191;  // the largest CONFIG_NR_CPUS (x86 with MAXSMP) is 8192
constexpr uint32_t kMaxRing = 1U << 16;
constexpr uint32_t kMaxFrames = 1U << 20;

template <typename... Words>
absl::Status Lie(const Words&... words) {
  return absl::DataLossError(absl::StrCat("the dataplane's greeting is broken: ", words...));
}

bool IsRing(uint32_t entries) {
  return entries != 0 && entries <= kMaxRing && (entries & (entries - 1)) == 0;
}

absl::Status CheckConfiguration(const dataplane::Configure& configuration) {
  const int ports = configuration.ports_size();
  if (ports == 0 || static_cast<uint32_t>(ports) > kMaxPorts) {
    return Lie(ports, " ports");
  }
  for (const dataplane::PortSpec& port : configuration.ports()) {
    if (port.name().size() > kMaxTextBytes) {
      return Lie("a port's name of ", port.name().size(), " bytes");
    }
  }
  if (configuration.function().size() > kMaxTextBytes || configuration.settings_size() > kMaxSettings) {
    return Lie("function or settings are too long");
  }
  for (const auto& [name, value] : configuration.settings()) {
    if (name.size() > kMaxTextBytes || value.size() > kMaxTextBytes) {
      return Lie("a setting is too long");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckSockets(const dataplane::LaneSpec& lane, int ports) {
  if (lane.sockets_size() != ports) {
    return Lie("lane ", lane.index(), " has ", lane.sockets_size(), " sockets for ", ports, " ports");
  }
  for (int port = 0; port < ports; ++port) {
    const dataplane::LaneSocket& socket = lane.sockets(port);
    if (socket.port() != static_cast<uint32_t>(port)) {
      return Lie("socket ", port, " of lane ", lane.index(), " is of port ", socket.port());
    }
    if (socket.xskmap_key() != (lane.index() == kBridgeLane ? 0 : lane.index())) {
      return Lie("a socket of lane ", lane.index(), " is entry ", socket.xskmap_key(), " of its XSKMAP");
    }
    if (!IsRing(socket.fill_size()) || !IsRing(socket.completion_size()) || !IsRing(socket.rx_size()) ||
        !IsRing(socket.tx_size())) {
      return Lie("the rings of lane ", lane.index(), " have impossible sizes");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> GreetingParser::Take(const dataplane::Report& report, std::vector<UniqueFd> fds) {
  absl::Status s;
  if (!has_hello_) {
    s = report.has_hello() ? TakeHello(report.hello(), std::move(fds)) : Lie("it does not begin with Hello");
  } else {
    s = report.has_held_lane() ? TakeLane(report.held_lane(), std::move(fds)) : Lie("another message among its lanes");
  }
  if (!s.ok()) {
    return s;
  }
  return greeting_.lanes.size() == greeting_.hello.held_lanes();
}

absl::Status GreetingParser::TakeHello(const dataplane::Hello& hello, std::vector<UniqueFd> fds) {
  if (hello.contract_version() != dataplane::CONTRACT_VERSION_CURRENT) {
    return absl::FailedPreconditionError(absl::StrCat("the dataplane speaks contract version ",
                                                      hello.contract_version(), ", the agent ",
                                                      static_cast<int>(dataplane::CONTRACT_VERSION_CURRENT)));
  }
  if (!hello.configured()) {
    if (!fds.empty() || hello.held_lanes() != 0) {
      return Lie("it is not configured, and gives ", fds.size(), " descriptors and ", hello.held_lanes(), " lanes");
    }
  } else {
    if (fds.empty() || fds.size() > 2) {
      return Lie("it came with ", fds.size(), " descriptors instead of a stats segment and perhaps state memory");
    }
    if (absl::Status s = CheckConfiguration(hello.configuration()); !s.ok()) {
      return s;
    }
    if (hello.held_lanes() > kMaxLanes || hello.transmit_lanes() > kMaxPairLanes ||
        static_cast<uint32_t>(hello.cores_size()) > kMaxWorkers) {
      return Lie(hello.held_lanes(), " lanes, ", hello.transmit_lanes(), " to transmit by, and ", hello.cores_size(),
                 " workers");
    }
    if (std::any_of(hello.cores().begin(), hello.cores().end(), [](uint32_t core) { return core > kMaxCpu; })) {
      return Lie("a worker's core has an impossible number");
    }
    greeting_.stats = std::move(fds.front());
    greeting_.state = fds.size() == 2 ? std::move(fds.back()) : UniqueFd();
  }
  greeting_.hello = hello;
  has_hello_ = true;
  return absl::OkStatus();
}

absl::Status GreetingParser::TakeLane(const dataplane::HeldLane& held, std::vector<UniqueFd> fds) {
  const dataplane::LaneSpec& lane = held.lane();
  if (lane.index() >= kMaxLanes) {
    return Lie("there is no lane ", lane.index());
  }
  if (std::any_of(greeting_.lanes.begin(), greeting_.lanes.end(),
                  [&](const SurvivingLane& other) { return other.spec.index() == lane.index(); })) {
    return Lie("lane ", lane.index(), " twice");
  }
  if (lane.kind() != (lane.index() == kBridgeLane ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR)) {
    return Lie("lane ", lane.index(), " is of another kind");
  }
  if (held.worker() >= kMaxWorkers) {
    return Lie("there is no worker ", held.worker());
  }
  if ((lane.frame_size_bytes() != 2048 && lane.frame_size_bytes() != 4096) || lane.frame_count() == 0 ||
      lane.frame_count() > kMaxFrames) {
    return Lie("lane ", lane.index(), " has ", lane.frame_count(), " frames of ", lane.frame_size_bytes(), " bytes");
  }
  if (absl::Status s = CheckSockets(lane, greeting_.hello.configuration().ports_size()); !s.ok()) {
    return s;
  }
  if (fds.size() != 1 + 2 * static_cast<size_t>(lane.sockets_size())) {
    return Lie("lane ", lane.index(), " came with ", fds.size(), " descriptors");
  }
  greeting_.lanes.push_back({lane, held.worker(), std::move(fds)});
  return absl::OkStatus();
}

}  // namespace sluice
