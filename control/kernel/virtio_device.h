// A virtio-net device's negotiated features, from sysfs (drivers/virtio/virtio.c: features_show), and the driver's
// parameters. Read-only. One thread.
#ifndef SLUICE_CONTROL_KERNEL_VIRTIO_DEVICE_H_
#define SLUICE_CONTROL_KERNEL_VIRTIO_DEVICE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace sluice {

// Feature bits, virtio 1.2 sections 5.1.3 and 6. Named in the spec's words.
enum class VirtioFeature : uint32_t {
  kCsum = 0,
  kGuestCsum = 1,
  kCtrlGuestOffloads = 2,
  kGuestTso4 = 7,
  kGuestTso6 = 8,
  kGuestEcn = 9,
  kGuestUfo = 10,
  kMrgRxbuf = 15,
  kCtrlVq = 17,
  kMq = 22,
  kVersion1 = 32,
  kAccessPlatform = 33,
  kRingReset = 40,
  kVqNotfCoal = 52,
  kNotfCoal = 53,
  kGuestUso4 = 54,
  kGuestUso6 = 55,
  kHashReport = 57,
  kRss = 60,
};

struct VirtioDevice {
  std::string name;               // "virtio1"
  uint64_t features = 0;          // bit i: feature i negotiated
  std::optional<bool> napi_tx;    // module parameter; nullopt when it cannot be read
  bool driver_is_module = false;  // loaded, not part of the kernel's image

  bool Has(VirtioFeature f) const { return (features >> static_cast<uint32_t>(f) & 1) != 0; }
  // Tells whether frames sent in zero-copy mode go out with a header from some other place in memory, so that the host
  // may refuse or alter them, although they count as sent. The driver's one header, all zero, is a static variable that
  // virt_to_page maps for the device (drivers/net/virtio_net.c: xsk_hdr, virtnet_sq_bind_xsk_pool;
  // drivers/virtio/virtio_ring.c: virtqueue_map_single_attrs). That is right in the kernel's image and wrong in a
  // module's memory. Measured on 7.3: with the guest's memory full of 0xff, 60 of 60 frames never reached the tap.
  bool SendsStrayZeroCopyHeaders() const { return driver_is_module; }
  // Tells whether any offload lets the host send super-packets or partial checksums.
  bool OffersGuestOffloads() const {
    return Has(VirtioFeature::kGuestCsum) || Has(VirtioFeature::kGuestTso4) || Has(VirtioFeature::kGuestTso6) ||
           Has(VirtioFeature::kGuestEcn) || Has(VirtioFeature::kGuestUfo) || Has(VirtioFeature::kGuestUso4) ||
           Has(VirtioFeature::kGuestUso6);
  }
};

// Reads the device behind a netdev. nullopt: it is no virtio device. Error: it is one, and cannot be read.
absl::StatusOr<std::optional<VirtioDevice>> ReadVirtioDevice(const std::string& netdev);

// Returns the number of frames of a transmit queue that count as sent although the device may not have read them.
// Usually that is 0. Where the driver runs the queue without NAPI it is the queue's size, since the driver then
// completes a frame as soon as it takes it (drivers/net/virtio_net.c: start_xmit, skb_orphan).
//
// A queue loses its NAPI when the driver enables its queues (XDP comes or goes, the link goes up) while a CPU is going
// offline (virtnet_napi_tx_enable, since virtnet_cpu_down_prep has cleared the affinity). It gets it back when the
// module is loaded again, or by `ethtool -C tx-frames 1` with the link down. On a device that negotiated
// VIRTIO_NET_F_NOTF_COAL this cannot be seen: ethtool shows another number there.
absl::StatusOr<uint32_t> FramesSentUnread(const std::string& netdev, const VirtioDevice& device, uint32_t queues);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_VIRTIO_DEVICE_H_
