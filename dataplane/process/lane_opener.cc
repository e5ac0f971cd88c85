#include "dataplane/process/lane_opener.h"

#include <bitset>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/umem.h"

namespace sluice {
namespace {

// For each port, a burst for the kernel to receive into and a burst on its way out.
constexpr uint32_t kLeastFramesPerPort = 2 * kBurstFrames;

absl::Status CheckIndex(const dataplane::LaneSpec& spec) {
  switch (spec.kind()) {
    case dataplane::LANE_KIND_PAIR:
      return spec.index() < kMaxPairLanes
                 ? absl::OkStatus()
                 : absl::InvalidArgumentError(
                       absl::StrCat("pair lane ", spec.index(), ": the last possible one is ", kMaxPairLanes - 1));
    case dataplane::LANE_KIND_BRIDGE:
      return spec.index() == kBridgeLane ? absl::OkStatus()
                                         : absl::InvalidArgumentError(absl::StrCat(
                                               "the bridge lane has number ", kBridgeLane, ", not ", spec.index()));
    default:
      return absl::InvalidArgumentError(absl::StrCat("lane ", spec.index(), " is of no known kind"));
  }
}

absl::Status CheckSockets(const dataplane::LaneSpec& spec, uint32_t port_count) {
  std::bitset<kMaxPorts> ports;
  for (const dataplane::LaneSocket& socket : spec.sockets()) {
    if (socket.port() >= port_count || ports[socket.port()]) {
      return absl::InvalidArgumentError(
          absl::StrCat("lane ", spec.index(), ": port ", socket.port(), " is unknown or named twice"));
    }
    ports[socket.port()] = true;
    if (spec.kind() == dataplane::LANE_KIND_PAIR && socket.tx_size() == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("lane ", spec.index(), ", port ", socket.port(), ": no transmit ring"));
    }
  }
  if (ports.none() || (spec.kind() == dataplane::LANE_KIND_PAIR && ports.count() != port_count)) {
    return absl::InvalidArgumentError(
        absl::StrCat("lane ", spec.index(), " has sockets for ", ports.count(), " of ", port_count, " ports"));
  }
  if (spec.frame_count() < kLeastFramesPerPort * ports.count()) {
    return absl::InvalidArgumentError(absl::StrCat("lane ", spec.index(), ": ", spec.frame_count(), " frames, but ",
                                                   ports.count(), " ports need at least ",
                                                   kLeastFramesPerPort * ports.count()));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Lane>> OpenLane(Kernel& kernel, const dataplane::LaneSpec& spec,
                                               const std::vector<UniqueFd>& fds, uint32_t port_count,
                                               StatsSegment& stats) {
  if (absl::Status status = CheckIndex(spec); !status.ok()) {
    return status;
  }
  if (absl::Status status = CheckSockets(spec, port_count); !status.ok()) {
    return status;
  }
  if (const size_t wanted = SocketFdAt(spec.sockets_size()); fds.size() != wanted) {
    return absl::InvalidArgumentError(
        absl::StrCat("lane ", spec.index(), " came with ", fds.size(), " descriptors instead of ", wanted));
  }
  absl::StatusOr<Umem> umem = Umem::Map(fds[UmemFdAt()].get(), {spec.frame_count(), spec.frame_size_bytes()});
  if (!umem.ok()) {
    return umem.status();
  }
  std::vector<PortSocket> sockets;
  for (int i = 0; i < spec.sockets_size(); ++i) {
    const dataplane::LaneSocket& wanted = spec.sockets(i);
    const XskRingSizes sizes = {wanted.fill_size(), wanted.completion_size(), wanted.rx_size(), wanted.tx_size()};
    absl::StatusOr<XskSocket> socket = kernel.MapSocket(fds[SocketFdAt(i)].get(), sizes);
    if (!socket.ok()) {
      return absl::Status(socket.status().code(), absl::StrCat("lane ", spec.index(), ", port ", wanted.port(), ": ",
                                                               socket.status().message()));
    }
    sockets.push_back({wanted.port(), *std::move(socket)});
  }
  return std::make_unique<Lane>(spec.index(), *std::move(umem), std::move(sockets), stats.lanes[spec.index()]);
}

}  // namespace sluice
