#include "control/lanes/lane_set.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A far end that a former agent's socket still holds is free again in some 150 ms (lane_sockets.h).
constexpr absl::Duration kBridgeBindBound = absl::Seconds(30);

std::string LaneName(uint32_t lane) {
  return lane == kBridgeLane ? "sluice-bridge" : absl::StrCat("sluice-lane-", lane);
}

dataplane::LaneSpec MakeSpec(uint32_t lane, const LaneSockets& sockets) {
  dataplane::LaneSpec spec;
  spec.set_index(lane);
  spec.set_kind(lane == kBridgeLane ? dataplane::LANE_KIND_BRIDGE : dataplane::LANE_KIND_PAIR);
  spec.set_frame_count(sockets.layout.frame_count);
  spec.set_frame_size_bytes(sockets.layout.frame_size_bytes);
  for (uint32_t port = 0; port < sockets.sockets.size(); ++port) {
    dataplane::LaneSocket* s = spec.add_sockets();
    s->set_port(port);
    s->set_xskmap_key(lane == kBridgeLane ? 0 : lane);
    s->set_fill_size(sockets.rings.fill);
    s->set_completion_size(sockets.rings.completion);
    s->set_rx_size(sockets.rings.rx);
    s->set_tx_size(sockets.rings.tx);
  }
  return spec;
}

}  // namespace

const LaneEntry* LaneSet::Find(uint32_t lane) const {
  const auto it = lanes_.find(lane);
  return it == lanes_.end() ? nullptr : &it->second;
}

bool LaneSet::IsBound(const LaneEntry& lane) const {
  return std::all_of(lane.sockets.sockets.begin(), lane.sockets.sockets.end(),
                     [this](const UniqueFd& socket) { return kernel_.IsBound(socket.get()); });
}

bool LaneSet::AllAreBound() const {
  return std::all_of(lanes_.begin(), lanes_.end(), [this](const auto& lane) { return IsBound(lane.second); });
}

std::optional<uint32_t> LaneSet::frame_size_bytes() const {
  std::optional<uint32_t> bytes;
  for (const auto& [index, lane] : lanes_) {
    const uint32_t its = lane.sockets.layout.frame_size_bytes;
    bytes = std::min(bytes.value_or(its), its);
  }
  return bytes;
}

uint32_t LaneSet::pair_lanes() const {
  return static_cast<uint32_t>(lanes_.size()) - (has_bridge_lane() ? 1 : 0);
}

std::vector<uint32_t> LaneSet::All() const {
  std::vector<uint32_t> all;
  for (const auto& [index, lane] : lanes_) {
    all.push_back(index);
  }
  return all;
}

std::vector<uint32_t> LaneSet::Pairs(uint32_t first, uint32_t end) const {
  std::vector<uint32_t> pairs;
  for (const auto& [index, lane] : lanes_) {
    if (index >= first && index < std::min(end, kMaxPairLanes)) {
      pairs.push_back(index);
    }
  }
  return pairs;
}

bool LaneSet::zero_copy() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& lane) {
    return lane.first != kBridgeLane && lane.second.sockets.mode == XskMode::kZeroCopy;
  });
}

KernelDrops LaneSet::Drops(uint32_t lane, uint32_t port) const {
  KernelDrops drops;
  if (const auto it = harvested_.find({lane, port}); it != harvested_.end()) {
    drops = it->second;
  }
  if (const LaneEntry* entry = Find(lane); entry != nullptr && port < entry->sockets.sockets.size()) {
    drops += kernel_.ReadDrops(entry->sockets.sockets[port].get());
  }
  return drops;
}

absl::Status LaneSet::Make(uint32_t first, uint32_t end) {
  return ForAllOrNone(first, end, [this](uint32_t lane) { return MakeOne(lane); });
}

absl::Status LaneSet::Bind(uint32_t first, uint32_t end, SteadyTime deadline) {
  return ForAllOrNone(first, end, [this, deadline](uint32_t lane) {
    absl::Status s = calls_.Time("bind", [&] { return BindOne(lane, deadline); });
    return s.ok() ? Steer(lane, lane + 1) : s;
  });
}

absl::Status LaneSet::Open(uint32_t first, uint32_t end, SteadyTime deadline) {
  absl::Status s = Make(first, end);
  if (!s.ok() || !has_bridge_lane()) {
    return s.ok() ? Bind(first, end, deadline) : s;
  }
  s = ForAllOrNone(first, end, [this, deadline](uint32_t lane) { return BindOne(lane, deadline); });
  return s.ok() ? dataplane_.Fenced(Pairs(first, end), [&] { return Steer(first, end); }, {kBridgeLane}) : s;
}

absl::Status LaneSet::OpenBridge() {
  absl::Status s = MakeOne(kBridgeLane);
  if (s.ok()) {
    s = BindOne(kBridgeLane, SteadyTime::Now() + kBridgeBindBound);
  }
  return s.ok() ? Steer(kBridgeLane, kBridgeLane + 1) : s;
}

absl::Status LaneSet::ForAllOrNone(uint32_t first, uint32_t end, absl::FunctionRef<absl::Status(uint32_t)> step) {
  for (uint32_t lane = first; lane < end; ++lane) {
    if (absl::Status s = step(lane); !s.ok()) {
      for (uint32_t other = first; other < end; ++other) {
        if (absl::Status undone = Remove(other); !undone.ok()) {
          spdlog::error("closing lane {} again: {}", other, std::string(undone.message()));
        }
      }
      return s;
    }
  }
  return absl::OkStatus();
}

UmemLayout LaneSet::Layout() const {
  return LaneLayout(ports_.size(), ports_.frame_size_bytes());
}

std::vector<QueueAddress> LaneSet::QueuesOf(uint32_t lane) const {
  std::vector<QueueAddress> queues;
  for (const Port& port : ports_) {
    queues.push_back(lane == kBridgeLane ? QueueAddress{port.info().bridge_netdev, 0}
                                         : QueueAddress{port.netdev(), lane});
  }
  return queues;
}

absl::Status LaneSet::MakeOne(uint32_t lane) {
  absl::StatusOr<LaneSockets> made = kernel_.Make(LaneName(lane), Layout(), QueuesOf(lane));
  if (!made.ok()) {
    return made.status();
  }
  LaneEntry entry{MakeSpec(lane, *made), *std::move(made)};
  lanes_.insert_or_assign(lane, std::move(entry));
  return dataplane_.down() ? absl::OkStatus() : HandOver(lane);
}

absl::Status LaneSet::BindOne(uint32_t lane, SteadyTime deadline) {
  if (lane == kBridgeLane) {
    // First: from its bind on a socket sends what waits on its ring, and the near ends drop frames of a socket that
    // they do not know. Nothing comes the other way before Steer().
    absl::Status s = SetBridgeSockets();
    return s.ok() ? BindSockets(lane, deadline) : s;
  }
  absl::Status s = BindSockets(lane, deadline);
  for (Port& port : ports_) {
    if (s.ok()) {
      s = port.SetCreditBase(lane);
    }
  }
  return s;
}

absl::Status LaneSet::SetBridgeSockets() {
  const LaneEntry* bridge = Find(kBridgeLane);
  absl::Status s;
  for (uint32_t port = 0; bridge != nullptr && s.ok() && port < ports_.size(); ++port) {
    s = port < bridge->sockets.sockets.size()
            ? ports_[port].SetBridgeSocket(bridge->sockets.sockets[port].get())
            : absl::DataLossError(absl::StrCat("the bridge lane has no socket for port ", port));
  }
  return s;
}

absl::Status LaneSet::BindSockets(uint32_t lane, SteadyTime deadline) {
  LaneSockets& sockets = lanes_.at(lane).sockets;
  if (lane == kBridgeLane) {
    // veth, the bridge's far end, has no zero-copy, and always native XDP.
    return kernel_.Bind(sockets, ModeSetting::kCopy, /*xdp_is_skb=*/false, deadline);
  }
  const bool xdp_is_skb = ports_.Any([](const Port& port) { return !port.xdp_is_native(); });
  const ModeSetting wanted = copy_because_.has_value() ? ModeSetting::kCopy : mode_;
  // Then an earlier agent made them, and they stay as they are: lanes are of one mode.
  const bool others_have_zero_copy = zero_copy();
  absl::Status s = kernel_.Bind(sockets, wanted, xdp_is_skb, deadline);
  if (wanted == ModeSetting::kAuto) {
    copy_because_ = WhyCopy(s, sockets, others_have_zero_copy);
    if (copy_because_.has_value()) {
      spdlog::warn("all lanes copy: {}{}", *copy_because_, s.ok() ? "" : absl::StrCat(" (", s.message(), ")"));
      return RemakeAsCopy(lane, deadline);
    }
  }
  if (s.ok() && copy_because_.has_value()) {
    sockets.mode_reason = *copy_because_;
  }
  return s;
}

// Sockets stay in the mode they were bound in, so others are made.
absl::Status LaneSet::RemakeAsCopy(uint32_t lane, SteadyTime deadline) {
  absl::Status s = Remove(lane);
  if (s.ok()) {
    s = MakeOne(lane);
  }
  return s.ok() ? BindSockets(lane, deadline) : s;
}

// With mode = "auto": the reason not to use the zero-copy that binding found; nullopt: there is none.
std::optional<std::string> LaneSet::WhyCopy(const absl::Status& bound, const LaneSockets& lane,
                                            bool others_have_zero_copy) {
  if (absl::IsUnimplemented(bound)) {
    return "another port of the lane offers no zero-copy, and they share one mode";
  }
  if (bound.ok() && lane.mode == XskMode::kZeroCopy && !others_have_zero_copy) {
    for (const Port& port : ports_) {
      if (port.info().sends_stray_zero_copy_headers) {
        return absl::StrCat(port.netdev(), ": zero-copy frames would go out with a stray header, as virtio_net is a ",
                            "loadable module here (sluicectl doctor says more)");
      }
    }
  }
  return std::nullopt;
}

absl::Status LaneSet::Steer(uint32_t first, uint32_t end) {
  absl::Status s;
  for (uint32_t lane = first; s.ok() && !dataplane_.down() && lane < end; ++lane) {
    s = dataplane_.SteerLane(lane);
  }
  return s;
}

absl::Status LaneSet::Remove(uint32_t lane) {
  if (Find(lane) == nullptr) {
    return absl::OkStatus();
  }
  absl::Status s = dataplane_.down() ? absl::OkStatus() : dataplane_.RemoveLane(lane);
  if (s.ok()) {
    Forget(lane);
  }
  return s;
}

void LaneSet::Forget(uint32_t lane) {
  const auto it = lanes_.find(lane);
  for (uint32_t port = 0; port < it->second.sockets.sockets.size(); ++port) {
    harvested_[{lane, port}] += kernel_.ReadDrops(it->second.sockets.sockets[port].get());
  }
  lanes_.erase(it);
}

void LaneSet::Clear() {
  while (!lanes_.empty()) {
    Forget(lanes_.begin()->first);
  }
}

absl::Status LaneSet::Adopt(SurvivingLane held) {
  const uint32_t lane = held.spec.index();
  if (lane >= kMaxLanes || lanes_.count(lane) != 0) {
    return absl::DataLossError(absl::StrCat("the dataplane holds lane ", lane, " twice or out of range"));
  }
  LaneEntry entry;
  entry.spec = held.spec;
  entry.sockets.layout = {held.spec.frame_count(), held.spec.frame_size_bytes()};
  entry.sockets.umem = std::move(held.fds[0]);
  for (int i = 0; i < held.spec.sockets_size(); ++i) {
    entry.sockets.sockets.push_back(std::move(held.fds[1 + 2 * static_cast<size_t>(i)]));
  }
  std::vector<int> sockets;
  for (const UniqueFd& socket : entry.sockets.sockets) {
    sockets.push_back(socket.get());
  }
  entry.sockets.queues = QueuesOf(lane);
  if (absl::Status s = kernel_.CheckHeld(entry.sockets.umem.get(), entry.sockets.layout, sockets, entry.sockets.queues);
      !s.ok()) {
    return absl::Status(s.code(), absl::StrCat("lane ", lane, " that the dataplane holds: ", s.message()));
  }
  entry.sockets.mode = XskMode::kCopy;
  if (!entry.sockets.sockets.empty()) {
    absl::StatusOr<bool> zero_copy = kernel_.IsZeroCopy(entry.sockets.sockets.front().get());
    if (!zero_copy.ok()) {
      return zero_copy.status();
    }
    entry.sockets.mode = *zero_copy ? XskMode::kZeroCopy : XskMode::kCopy;
  }
  entry.sockets.mode_reason = "kept from before the agent restarted";
  lanes_.insert_or_assign(lane, std::move(entry));
  return absl::OkStatus();
}

void LaneSet::KeepModeOfAdopted() {
  if (mode_ != ModeSetting::kAuto || pair_lanes() == 0) {
    return;
  }
  if (!zero_copy()) {
    copy_because_ = "the other lanes copy, as they did before the agent restarted";
  } else if (ports_.Any([](const Port& port) { return port.info().sends_stray_zero_copy_headers; })) {
    spdlog::warn(
        "the lanes an earlier agent left are in zero-copy mode, and the host may refuse what is sent so "
        "(sluicectl doctor: zero_copy); end agent and dataplane and start both again");
  }
}

absl::Status LaneSet::HandOver(uint32_t lane) {
  const LaneEntry& entry = lanes_.at(lane);
  std::vector<int> fds = {entry.sockets.umem.get()};
  for (const dataplane::LaneSocket& socket : entry.spec.sockets()) {
    const PortFds port = ports_[socket.port()].fds();
    fds.push_back(entry.sockets.sockets[socket.port()].get());
    fds.push_back(lane == kBridgeLane ? port.bridge_xsks : port.xsks);
  }
  return dataplane_.AddLane(entry.spec, placement_.WorkerOf(lane), /*steered=*/IsBound(entry), fds);
}

absl::Status LaneSet::HandOverPairs() {
  for (const uint32_t lane : Pairs()) {
    if (absl::Status s = HandOver(lane); !s.ok()) {
      return s;
    }
  }
  return absl::OkStatus();
}

absl::Status LaneSet::HandOverBridge() {
  return has_bridge_lane() ? HandOver(kBridgeLane) : absl::OkStatus();
}

absl::Status LaneSet::ShareCredit() {
  std::vector<int> fds;
  for (const Port& port : ports_) {
    fds.push_back(port.fds().credit);
  }
  return dataplane_.ShareCredit(fds);
}

absl::Status LaneSet::QuarantineSentFrames() {
  absl::Status s;
  for (uint32_t port = 0; s.ok() && port < ports_.size(); ++port) {
    if (const uint32_t frames = ports_[port].frames_sent_unread(); frames > 0) {
      s = dataplane_.QuarantineSentFrames(port, frames);
    }
  }
  return s;
}

}  // namespace sluice
