#include "control/kernel/device_limits.h"

#include "absl/strings/str_cat.h"
#include "bpf/header_numbers.h"

namespace sluice {
namespace {

constexpr uint32_t kSmallChunkBytes = 2048;
constexpr uint32_t kHeadroomBytes = 256;  // XDP_PACKET_HEADROOM
constexpr uint32_t kVlanTags = 2;         // QinQ
// sizeof(skb_shared_info), which the driver keeps behind each single-buffer frame. The limit that follows,
// 4096 - 256 - 320 - 14 = 3506, is virtio_net's (virtnet_xdp_set) and veth's (veth_xdp_set). Linux 6.1's
// virtio_net allows more, and then drops packets that do not fit.
constexpr uint32_t kTailroomBytes = 320;
constexpr uint32_t kMaxMtuBytes = kLargestFrameBytes - kHeadroomBytes - kTailroomBytes - SLUICE_ETHERNET_BYTES;

}  // namespace

absl::StatusOr<uint32_t> FrameSizeForMtu(uint32_t mtu_bytes) {
  if (mtu_bytes > kMaxMtuBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("MTU ", mtu_bytes, " is more than single-buffer XDP takes: at most ", kMaxMtuBytes, " bytes"));
  }
  const uint32_t needed_bytes = kHeadroomBytes + SLUICE_ETHERNET_BYTES + kVlanTags * SLUICE_TAG_BYTES + mtu_bytes;
  return needed_bytes <= kSmallChunkBytes ? kSmallChunkBytes : kLargestFrameBytes;
}

absl::Status CheckNoExtraXdpQueues(const std::string& netdev, uint32_t queue_pairs, uint32_t max_queue_pairs,
                                   uint32_t possible_cpus, bool is_virtio) {
  if (!is_virtio || queue_pairs + possible_cpus > max_queue_pairs) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(netdev, ": with ", queue_pairs, " of ", max_queue_pairs, " queue pairs in use and ", possible_cpus,
                   " possible CPUs, attaching XDP adds ", possible_cpus,
                   " pairs that get traffic and cannot transmit; give the device no more queue pairs than vCPUs:\n",
                   QueuesFix(possible_cpus)));
}

std::string QueuesFix(uint32_t pairs) {
  // Two interrupts a pair, one for the control queue, one for changes of the configuration
  // (drivers/virtio/virtio_pci_common.c: vp_find_vqs).
  return absl::StrCat("QEMU: -netdev tap,queues=", pairs, ",… -device virtio-net-pci,mq=on,vectors=", 2 * pairs + 2,
                      "\nlibvirt: <driver queues='", pairs, "'/>",
                      "\nKubeVirt: networkInterfaceMultiqueue: true (as many pairs as vCPUs)");
}

}  // namespace sluice
