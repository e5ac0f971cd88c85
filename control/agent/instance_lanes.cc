// An Instance's lanes: making them, binding them, handing them to the dataplane.
#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A far end that a former agent's socket still holds is free again in some 150 ms (lane_sockets.h).
constexpr absl::Duration kBindBound = absl::Seconds(10);

WantedXskMode Wanted(ModeSetting mode) {
  switch (mode) {
    case ModeSetting::kZeroCopy:
      return WantedXskMode::kZeroCopy;
    case ModeSetting::kCopy:
      return WantedXskMode::kCopy;
    case ModeSetting::kSkb:
      return WantedXskMode::kSkb;
    case ModeSetting::kAuto:
      break;
  }
  return WantedXskMode::kAuto;
}

// As /proc/PID/maps shows its memory.
std::string LaneName(uint32_t index) {
  return index == kBridgeLane ? "sluice-bridge" : absl::StrCat("sluice-lane-", index);
}

}  // namespace

UmemLayout Instance::LaneLayout() const {
  const XskRingSizes rings;
  uint32_t frame_size = 0;
  for (const AgentPort& port : ports_) {
    frame_size = std::max(frame_size, port.frame_size_bytes());
  }
  // Enough for every fill and every transmit ring to be full at once: no port can starve another.
  return {static_cast<uint32_t>(ports_.size()) * (rings.fill + rings.tx), frame_size};
}

absl::Status Instance::OpenLane(uint32_t index, const std::vector<QueueAddress>& queues, absl::StatusOr<UniqueFd> umem,
                                absl::Time deadline) {
  const bool is_bridge = index == kBridgeLane;
  // veth, the bridge's far end, has no zero-copy, and always native XDP.
  const WantedXskMode wanted =
      is_bridge || copy_because_.has_value() ? WantedXskMode::kCopy : Wanted(config_.dataplane.mode);
  absl::Status s = OpenLaneAs(wanted, index, queues, std::move(umem), deadline);
  if (absl::IsUnimplemented(s) && wanted == WantedXskMode::kAuto) {
    // The first port's socket is in zero-copy mode and stays so; the lane is made anew in one that all ports have.
    spdlog::warn("{}; the lanes' ports share one mode, so all of them copy", std::string(s.message()));
    copy_because_ = "another port of the lane offers no zero-copy, and they share one mode";
    s = RemoveLane(index);
    if (s.ok()) {
      s = OpenLaneAs(WantedXskMode::kCopy, index, queues, MakeUmemMemory(LaneLayout(), LaneName(index)), deadline);
    }
  }
  return s;
}

// The dataplane maps the rings before they are bound (lane_sockets.h). While there is none the lane is bound all
// the same, for the one that takes over.
absl::Status Instance::OpenLaneAs(WantedXskMode wanted, uint32_t index, const std::vector<QueueAddress>& queues,
                                  absl::StatusOr<UniqueFd> umem, absl::Time deadline) {
  if (!umem.ok()) {
    return umem.status();
  }
  const bool is_bridge = index == kBridgeLane;
  absl::StatusOr<LaneSockets> made = MakeLaneSockets(*std::move(umem), LaneLayout(), XskRingSizes(), queues);
  if (!made.ok()) {
    return made.status();
  }
  LaneSockets& sockets =
      lanes_.Add(index, is_bridge ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR, *std::move(made));
  if (!down_) {
    if (absl::Status s = SendLane(index); !s.ok()) {
      return s;
    }
  }
  const bool skb = !is_bridge && std::any_of(ports_.begin(), ports_.end(),
                                             [](const AgentPort& port) { return port.xdp().mode() == XdpMode::kSkb; });
  absl::Status s = BindLaneSockets(sockets, wanted, skb, deadline);
  if (s.ok() && !is_bridge && copy_because_.has_value()) {
    sockets.mode_reason = *copy_because_;
  }
  return s;
}

absl::Status Instance::OpenLanes(uint32_t first, uint32_t end, absl::Time deadline,
                                 std::map<uint32_t, UniqueFd> prepared) {
  for (uint32_t index = first; index < end; ++index) {
    std::vector<QueueAddress> queues;
    for (const AgentPort& port : ports_) {
      queues.push_back({port.netdev(), index});
    }
    absl::Status s = OpenLane(index, queues,
                              prepared.count(index) != 0 ? absl::StatusOr<UniqueFd>(std::move(prepared[index]))
                                                         : MakeUmemMemory(LaneLayout(), LaneName(index)),
                              deadline);
    if (!s.ok()) {
      for (uint32_t opened = first; opened <= index; ++opened) {
        if (absl::Status undone = RemoveLane(opened); !undone.ok()) {
          spdlog::error("closing lane {} again: {}", opened, std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::OpenBridgeLane() {
  std::vector<QueueAddress> queues;
  for (const AgentPort& port : ports_) {
    queues.push_back({port.bridge().far_netdev(), 0});
  }
  return OpenLane(kBridgeLane, queues, MakeUmemMemory(LaneLayout(), LaneName(kBridgeLane)), absl::Now() + kBindBound);
}

}  // namespace sluice
