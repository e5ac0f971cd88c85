#include "control/lanes/lane_kernel.h"
#include "dataplane/base/steady_time.h"

#include <utility>

namespace sluice {

absl::StatusOr<LaneSockets> LinuxLaneKernel::Make(const std::string& name, const UmemLayout& layout,
                                                  std::vector<QueueAddress> queues) {
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(layout, name);
  if (!umem.ok()) {
    return umem.status();
  }
  return MakeLaneSockets(*std::move(umem), layout, kLaneRings, std::move(queues));
}

absl::Status LinuxLaneKernel::Bind(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime deadline) {
  return BindLaneSockets(lane, wanted, xdp_is_skb, deadline);
}

absl::Status LinuxLaneKernel::CheckHeld(int umem, const UmemLayout& layout, absl::Span<const int> sockets,
                                        absl::Span<const QueueAddress> queues) const {
  return CheckLaneSockets(umem, layout, sockets, queues);
}

bool LinuxLaneKernel::IsBound(int socket) const {
  return sluice::IsBound(socket);
}

absl::StatusOr<bool> LinuxLaneKernel::IsZeroCopy(int socket) const {
  return sluice::IsZeroCopy(socket);
}

KernelDrops LinuxLaneKernel::ReadDrops(int socket) const {
  const absl::StatusOr<xdp_statistics> s = ReadXskStatistics(socket);
  return s.ok() ? KernelDrops{s->rx_dropped, s->rx_ring_full, s->rx_invalid_descs, s->tx_invalid_descs} : KernelDrops();
}

}  // namespace sluice
