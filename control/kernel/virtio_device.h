// What a virtio-net device has agreed to, from sysfs (the file `features` holds the negotiated bits:
// drivers/virtio/virtio.c, features_show), and the driver's parameters. Read-only. One thread.
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
  // Whether frames sent in zero-copy mode go out with a header read from some other place in memory, so that the host
  // may refuse or alter them, although they count as sent. The driver's one header, all zero, is a variable of its
  // own, mapped for the device by virt_to_page (drivers/net/virtio_net.c: xsk_hdr, virtnet_sq_bind_xsk_pool;
  // drivers/virtio/virtio_ring.c: virtqueue_map_single_attrs), which is right in the kernel's image and wrong in a
  // module's memory. Measured on 7.3: with the guest's memory full of 0xff, 60 of 60 frames never reached the tap.
  bool SendsStrayZeroCopyHeaders() const { return driver_is_module; }
  // Any offload that makes the host send super-packets or partial checksums.
  bool OffersGuestOffloads() const {
    return Has(VirtioFeature::kGuestCsum) || Has(VirtioFeature::kGuestTso4) || Has(VirtioFeature::kGuestTso6) ||
           Has(VirtioFeature::kGuestEcn) || Has(VirtioFeature::kGuestUfo) || Has(VirtioFeature::kGuestUso4) ||
           Has(VirtioFeature::kGuestUso6);
  }
};

// nullopt: the netdev is not a virtio device. Error: it is, and cannot be read.
absl::StatusOr<std::optional<VirtioDevice>> ReadVirtioDevice(const std::string& netdev);

// How many frames of a transmit queue the device may not have read although they count as sent: as a rule none, and
// as many as the queue holds where the driver runs it without NAPI, since it then lets go of a frame when it takes
// it (drivers/net/virtio_net.c: start_xmit, skb_orphan). A queue loses its NAPI, until the module is loaded again or
// `ethtool -C tx-frames 1` is done with the link down, when the driver enables its queues (XDP comes or goes, the
// link goes up) while a CPU is going offline (virtnet_napi_tx_enable, as virtnet_cpu_down_prep has cleared the
// affinity). Not seen on a device that negotiated VIRTIO_NET_F_NOTF_COAL: ethtool shows something else there.
absl::StatusOr<uint32_t> FramesSentUnread(const std::string& netdev, const VirtioDevice& device, uint32_t queues);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_VIRTIO_DEVICE_H_
