#include "control/lanes/lane_table.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dataplane/contract/stats_segment.h"

namespace sluice {
namespace {

KernelDrops ReadDrops(int socket) {
  absl::StatusOr<xdp_statistics> s = ReadXskStatistics(socket);
  if (!s.ok()) {
    return {};
  }
  return {s->rx_dropped, s->rx_ring_full, s->rx_invalid_descs, s->tx_invalid_descs};
}

}  // namespace

bool LaneEntry::bound() const {
  return std::all_of(sockets.sockets.begin(), sockets.sockets.end(),
                     [](const UniqueFd& socket) { return IsBound(socket.get()); });
}

KernelDrops& KernelDrops::operator+=(const KernelDrops& other) {
  rx_dropped += other.rx_dropped;
  rx_ring_full += other.rx_ring_full;
  rx_invalid += other.rx_invalid;
  tx_invalid += other.tx_invalid;
  return *this;
}

void LaneTable::Add(uint32_t index, dataplane::LaneKind kind, LaneSockets sockets) {
  LaneEntry entry;
  entry.spec.set_index(index);
  entry.spec.set_kind(kind);
  entry.spec.set_frame_count(sockets.layout.frame_count);
  entry.spec.set_frame_size_bytes(sockets.layout.frame_size_bytes);
  for (uint32_t port = 0; port < sockets.sockets.size(); ++port) {
    dataplane::LaneSocket* s = entry.spec.add_sockets();
    s->set_port(port);
    s->set_xskmap_key(kind == dataplane::LANE_KIND_BRIDGE ? 0 : index);
    s->set_fill_size(sockets.rings.fill);
    s->set_completion_size(sockets.rings.completion);
    s->set_rx_size(sockets.rings.rx);
    s->set_tx_size(sockets.rings.tx);
  }
  entry.sockets = std::move(sockets);
  lanes_.insert_or_assign(index, std::move(entry));
}

absl::Status LaneTable::Adopt(HeldLane held) {
  if (held.spec.index() >= kMaxLanes || lanes_.count(held.spec.index()) != 0) {
    return absl::DataLossError(absl::StrCat("the dataplane holds lane ", held.spec.index(), " twice or out of range"));
  }
  LaneEntry entry;
  entry.spec = held.spec;
  entry.sockets.layout = {held.spec.frame_count(), held.spec.frame_size_bytes()};
  entry.sockets.umem = std::move(held.fds[0]);
  for (int i = 0; i < held.spec.sockets_size(); ++i) {
    entry.sockets.sockets.push_back(std::move(held.fds[1 + 2 * static_cast<size_t>(i)]));
  }
  entry.sockets.mode = XskMode::kCopy;
  if (!entry.sockets.sockets.empty()) {
    absl::StatusOr<bool> zero_copy = IsZeroCopy(entry.sockets.sockets.front().get());
    if (!zero_copy.ok()) {
      return zero_copy.status();
    }
    entry.sockets.mode = *zero_copy ? XskMode::kZeroCopy : XskMode::kCopy;
  }
  entry.sockets.mode_reason = "kept from before the agent restarted";
  lanes_.insert_or_assign(held.spec.index(), std::move(entry));
  return absl::OkStatus();
}

void LaneTable::Remove(uint32_t index) {
  const auto it = lanes_.find(index);
  if (it == lanes_.end()) {
    return;
  }
  for (uint32_t port = 0; port < it->second.sockets.sockets.size(); ++port) {
    harvested_[{index, port}] += ReadDrops(it->second.sockets.sockets[port].get());
  }
  lanes_.erase(it);
}

void LaneTable::Clear() {
  while (!lanes_.empty()) {
    Remove(lanes_.begin()->first);
  }
}

const LaneEntry* LaneTable::Find(uint32_t index) const {
  const auto it = lanes_.find(index);
  return it == lanes_.end() ? nullptr : &it->second;
}

LaneSockets* LaneTable::FindSockets(uint32_t index) {
  const auto it = lanes_.find(index);
  return it == lanes_.end() ? nullptr : &it->second.sockets;
}

uint32_t LaneTable::pair_lanes() const {
  uint32_t count = 0;
  for (const auto& [index, lane] : lanes_) {
    count += lane.spec.kind() == dataplane::LANE_KIND_PAIR ? 1 : 0;
  }
  return count;
}

bool LaneTable::zero_copy() const {
  return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& indexed) {
    const LaneEntry& lane = indexed.second;
    return lane.spec.kind() == dataplane::LANE_KIND_PAIR && lane.sockets.mode == XskMode::kZeroCopy;
  });
}

KernelDrops LaneTable::Drops(uint32_t lane, uint32_t port) const {
  KernelDrops drops;
  if (const auto it = harvested_.find({lane, port}); it != harvested_.end()) {
    drops = it->second;
  }
  if (const LaneEntry* entry = Find(lane); entry != nullptr && port < entry->sockets.sockets.size()) {
    drops += ReadDrops(entry->sockets.sockets[port].get());
  }
  return drops;
}

}  // namespace sluice
