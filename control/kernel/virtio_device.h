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
  kGuestUso4 = 54,
  kGuestUso6 = 55,
  kHashReport = 57,
  kRss = 60,
};

struct VirtioDevice {
  std::string name;             // "virtio1"
  uint64_t features = 0;        // bit i: feature i negotiated
  std::optional<bool> napi_tx;  // module parameter; nullopt when it cannot be read

  bool Has(VirtioFeature f) const { return (features >> static_cast<uint32_t>(f) & 1) != 0; }
  // Any offload that makes the host send super-packets or partial checksums.
  bool OffersGuestOffloads() const {
    return Has(VirtioFeature::kGuestCsum) || Has(VirtioFeature::kGuestTso4) || Has(VirtioFeature::kGuestTso6) ||
           Has(VirtioFeature::kGuestEcn) || Has(VirtioFeature::kGuestUfo) || Has(VirtioFeature::kGuestUso4) ||
           Has(VirtioFeature::kGuestUso6);
  }
};

// nullopt: the netdev is not a virtio device. Error: it is, and cannot be read.
absl::StatusOr<std::optional<VirtioDevice>> ReadVirtioDevice(const std::string& netdev);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_VIRTIO_DEVICE_H_
