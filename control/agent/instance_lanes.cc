// An Instance's lanes: making them, binding them, handing them to the dataplane.
#include <algorithm>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "control/agent/instance.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A far end that a former agent's socket still holds is free again in some 150 ms (lane_sockets.h).
constexpr absl::Duration kBindBound = absl::Seconds(30);

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

std::vector<QueueAddress> Instance::QueuesOf(uint32_t lane) const {
  std::vector<QueueAddress> queues;
  for (const AgentPort& port : ports_) {
    queues.push_back(lane == kBridgeLane ? QueueAddress{port.bridge().far_netdev(), 0}
                                         : QueueAddress{port.netdev(), lane});
  }
  return queues;
}

// The dataplane maps the rings before they are bound (lane_sockets.h). While there is none the lane is made and bound
// all the same, for the one that takes over.
absl::Status Instance::MakeLane(uint32_t index) {
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(LaneLayout(), LaneName(index));
  if (!umem.ok()) {
    return umem.status();
  }
  absl::StatusOr<LaneSockets> made = MakeLaneSockets(*std::move(umem), LaneLayout(), XskRingSizes(), QueuesOf(index));
  if (!made.ok()) {
    return made.status();
  }
  const bool is_bridge = index == kBridgeLane;
  lanes_.Add(index, is_bridge ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR, *std::move(made));
  return down_ ? absl::OkStatus() : SendLane(index);
}

absl::Status Instance::BindLane(uint32_t index, absl::Time deadline) {
  // veth, the bridge's far end, has no zero-copy, and always native XDP.
  const bool is_bridge = index == kBridgeLane;
  const bool skb = !is_bridge && std::any_of(ports_.begin(), ports_.end(),
                                             [](const AgentPort& port) { return port.xdp().mode() == XdpMode::kSkb; });
  const WantedXskMode wanted =
      is_bridge || copy_because_.has_value() ? WantedXskMode::kCopy : Wanted(config_.dataplane.mode);
  // Then they were handed over by an earlier agent, and are not made anew: lanes are of one mode.
  const bool others_have_zero_copy = lanes_.zero_copy();
  absl::Status s = BindLaneSockets(*lanes_.FindSockets(index), wanted, skb, deadline);
  if (wanted == WantedXskMode::kAuto) {
    copy_because_ = WhyCopy(s, *lanes_.FindSockets(index), others_have_zero_copy);
    if (copy_because_.has_value()) {
      // Sockets stay in the mode they were bound in, so the lane is made anew.
      spdlog::warn("all lanes copy: {}{}", *copy_because_, s.ok() ? "" : absl::StrCat(" (", s.message(), ")"));
      s = RemoveLane(index);
      if (s.ok()) {
        s = MakeLane(index);
      }
      return s.ok() ? BindLane(index, deadline) : s;
    }
  }
  if (s.ok() && !is_bridge && copy_because_.has_value()) {
    lanes_.FindSockets(index)->mode_reason = *copy_because_;
  }
  for (size_t port = 0; s.ok() && port < ports_.size(); ++port) {
    s = is_bridge ? ports_[port].SetBridgeSocket(lanes_.FindSockets(index)->sockets[port].get())
                  : ports_[port].SetCreditBase(index);
  }
  return s;
}

std::optional<std::string> Instance::WhyCopy(const absl::Status& bound, const LaneSockets& lane,
                                             bool others_have_zero_copy) const {
  if (absl::IsUnimplemented(bound)) {
    return "another port of the lane offers no zero-copy, and they share one mode";
  }
  if (bound.ok() && lane.mode == XskMode::kZeroCopy && !others_have_zero_copy) {
    for (const AgentPort& port : ports_) {
      if (port.SendsStrayZeroCopyHeaders()) {
        return absl::StrCat(port.netdev(), ": zero-copy frames would go out with a stray header, as virtio_net is a ",
                            "loadable module here (sluicectl doctor says more)");
      }
    }
  }
  return std::nullopt;
}

absl::Status Instance::MakeLanes(uint32_t first, uint32_t end) {
  return ForLanes(first, end, [this](uint32_t index) { return MakeLane(index); });
}

absl::Status Instance::BindLanes(uint32_t first, uint32_t end, absl::Time deadline) {
  return ForLanes(first, end, [this, deadline](uint32_t index) {
    absl::Status s = calls_.Time("bind", [&] { return BindLane(index, deadline); });
    return s.ok() ? SteerLanes(index, index + 1) : s;
  });
}

absl::Status Instance::OpenLanes(uint32_t first, uint32_t end, absl::Time deadline) {
  absl::Status s = MakeLanes(first, end);
  if (!s.ok() || lanes_.Find(kBridgeLane) == nullptr) {
    return s.ok() ? BindLanes(first, end, deadline) : s;
  }
  s = ForLanes(first, end, [this, deadline](uint32_t index) { return BindLane(index, deadline); });
  std::vector<uint32_t> fresh(end > first ? end - first : 0);
  std::iota(fresh.begin(), fresh.end(), first);
  return s.ok() ? Fenced(fresh, [&] { return SteerLanes(first, end); }, {kBridgeLane}) : s;
}

// All, or none is left.
absl::Status Instance::ForLanes(uint32_t first, uint32_t end, absl::FunctionRef<absl::Status(uint32_t)> step) {
  for (uint32_t index = first; index < end; ++index) {
    if (absl::Status s = step(index); !s.ok()) {
      for (uint32_t other = first; other < end; ++other) {
        if (absl::Status undone = RemoveLane(other); !undone.ok()) {
          spdlog::error("closing lane {} again: {}", other, std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status Instance::OpenBridgeLane() {
  absl::Status s = MakeLane(kBridgeLane);
  if (s.ok()) {
    s = BindLane(kBridgeLane, absl::Now() + kBindBound);
  }
  return s.ok() ? SteerLanes(kBridgeLane, kBridgeLane + 1) : s;
}

}  // namespace sluice
