// Limits of a network device that bring-up checks and the doctor explains: how large a packet XDP takes, and how many
// queue pairs may stay unused. Pure; any thread.
#ifndef SLUICE_CONTROL_KERNEL_DEVICE_LIMITS_H_
#define SLUICE_CONTROL_KERNEL_DEVICE_LIMITS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace sluice {

// The largest UMEM frame: a page (net/xdp/xdp_umem.c).
inline constexpr uint32_t kLargestFrameBytes = 4096;

// Returns the size of a UMEM frame for an MTU: 2048 bytes when they hold the headroom that the kernel keeps
// (XDP_PACKET_HEADROOM, 256), Ethernet, two VLAN tags and the MTU, else 4096. InvalidArgument, with the number, when
// `mtu_bytes` is more than single-buffer XDP takes.
absl::StatusOr<uint32_t> FrameSizeForMtu(uint32_t mtu_bytes);

// Refuses a device on which attaching XDP would add queue pairs. Attaching asks virtio_net for current + nr_cpu_ids
// pairs. A device that has that many gets more receive queues, and packets come to queues whose sockets can be bound
// but never transmit (drivers/net/virtio_net.c: virtnet_xdp_set; net/xdp/xsk.c: xsk_bind). `possible_cpus` is
// nr_cpu_ids. FailedPrecondition, with QueuesFix().
absl::Status CheckNoExtraXdpQueues(const std::string& netdev, uint32_t queue_pairs, uint32_t max_queue_pairs,
                                   uint32_t possible_cpus, bool is_virtio);

// Returns the lines that give a virtio device `pairs` queue pairs, for QEMU, libvirt and KubeVirt. QEMU's have the tap
// device, too.
std::string QueuesFix(uint32_t pairs);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_DEVICE_LIMITS_H_
