// Reads and sets a device's properties as ethtool(8) does: through the ethtool netlink family, so that the kernel's own
// words (extack) reach the user, and through ioctl where our oldest kernel has no netlink message (RSS:
// ETHTOOL_MSG_RSS_SET is younger than 6.12).
//
// Errors: NotFound for an unknown netdev, Unimplemented where the driver has no such operation (EOPNOTSUPP),
// FailedPrecondition for EINVAL and EBUSY, Internal otherwise. The text has the request, errno's text and the kernel's
// message. One thread.
#ifndef SLUICE_CONTROL_KERNEL_ETHTOOL_H_
#define SLUICE_CONTROL_KERNEL_ETHTOOL_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace sluice {

struct Channels {
  uint32_t combined = 0;
  uint32_t max_combined = 0;
};

// Reads the numbers of queues. For a driver that counts rx and tx apart (veth), combined is the smaller of the two.
absl::StatusOr<Channels> GetChannels(const std::string& netdev);
// Sets combined channels, or rx and tx both where the driver has no combined ones.
absl::Status SetChannels(const std::string& netdev, uint32_t count);

// Switches features by their ethtool -K names ("tx-checksum-ip-generic"). A feature that the driver fixes
// at the other value is an error that names it.
absl::Status SetFeatures(const std::string& netdev, absl::Span<const std::pair<std::string, bool>> wanted);
// Lists the features that are on now.
absl::StatusOr<std::vector<std::string>> ActiveFeatures(const std::string& netdev);

// Reads the RSS indirection table: hash bucket -> RX queue. Empty: the device has none.
absl::StatusOr<std::vector<uint32_t>> GetRssTable(const std::string& netdev);
// Sets the RSS indirection table. An empty one brings back the kernel's own, which the kernel adapts to the number of
// queues (net/ethtool/ioctl.c: ethtool_set_rxfh_indir); any other one stays as it is, and `ethtool -L` refuses to take
// away queues that it names.
absl::Status SetRssTable(const std::string& netdev, absl::Span<const uint32_t> table);

// Reads the number of frames after which a transmit queue asks for an interrupt (`ethtool -c`: tx-frames): by queue
// where the driver tells them apart (virtio_net since 6.6), else one number for all.
absl::StatusOr<std::vector<uint32_t>> GetTxFrames(const std::string& netdev, uint32_t queues);
// Reads the number of frames that fit a transmit queue (`ethtool -g`).
absl::StatusOr<uint32_t> GetTxRingSize(const std::string& netdev);

// Reads the driver's own counters, by name, in the driver's order (`ethtool -S`). Empty: it has none.
absl::StatusOr<std::vector<std::pair<std::string, uint64_t>>> GetDriverStats(const std::string& netdev);

// Reads driver name and bus address, as `ethtool -i` prints them.
struct DriverInfo {
  std::string driver;
  std::string bus;
};
absl::StatusOr<DriverInfo> GetDriver(const std::string& netdev);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_ETHTOOL_H_
