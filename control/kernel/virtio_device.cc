#include "control/kernel/virtio_device.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "control/kernel/ethtool.h"
#include "control/kernel/text_file.h"

namespace sluice {
namespace {

// Finds the virtio device on a PCI or platform device: virtio_net gives the latter as its bus address
// (drivers/net/virtio_net.c: virtnet_get_drvinfo). Empty when there is none.
std::filesystem::path VirtioFolder(const std::string& bus_address) {
  for (const char* bus : {"pci", "platform"}) {
    const std::filesystem::path parent = std::filesystem::path("/sys/bus") / bus / "devices" / bus_address;
    std::error_code error;
    for (const std::filesystem::directory_entry& entry : std::filesystem::directory_iterator(parent, error)) {
      if (absl::StartsWith(entry.path().filename().string(), "virtio")) {
        return entry.path();
      }
    }
  }
  return {};
}

}  // namespace

absl::StatusOr<std::optional<VirtioDevice>> ReadVirtioDevice(const std::string& netdev) {
  // By the driver, not by /sys/class/net: that shows the network namespace in which sysfs was mounted, which may be
  // another one than ours, with another device of that name.
  const absl::StatusOr<DriverInfo> driver = GetDriver(netdev);
  if (absl::IsNotFound(driver.status())) {
    return driver.status();
  }
  if (!driver.ok() || driver->driver != "virtio_net") {
    return std::nullopt;
  }
  const std::filesystem::path device = VirtioFolder(driver->bus);
  const absl::StatusOr<std::string> bits = ReadTextFile(device / "features");
  if (!bits.ok()) {
    return bits.status();
  }
  VirtioDevice result;
  result.name = device.filename();
  // Bit 0 comes first. Newer kernels print 128 bits; we know none behind bit 63.
  for (size_t bit = 0; bit < bits->size() && bit < 64; ++bit) {
    if ((*bits)[bit] == '1') {
      result.features |= uint64_t{1} << bit;
    }
  }
  const absl::StatusOr<std::string> napi_tx = ReadTextFile("/sys/module/virtio_net/parameters/napi_tx");
  if (napi_tx.ok()) {
    result.napi_tx = *napi_tx == "Y" || *napi_tx == "1";
  }
  // Only a loaded module has this file (kernel/module/main.c: modinfo_initstate).
  result.driver_is_module = ReadTextFile("/sys/module/virtio_net/initstate").ok();
  return result;
}

absl::StatusOr<uint32_t> FramesSentUnread(const std::string& netdev, const VirtioDevice& device, uint32_t queues) {
  if (device.Has(VirtioFeature::kNotfCoal) || device.Has(VirtioFeature::kVqNotfCoal)) {
    return 0;
  }
  const absl::StatusOr<std::vector<uint32_t>> tx_frames = GetTxFrames(netdev, queues);
  if (!tx_frames.ok()) {
    return tx_frames.status();
  }
  if (std::find(tx_frames->begin(), tx_frames->end(), 0) == tx_frames->end()) {
    return 0;
  }
  return GetTxRingSize(netdev);
}

}  // namespace sluice
