// Frames that the kernel dropped at a lane's sockets before the dataplane saw them (XDP_STATISTICS). Pure; any thread.
#ifndef SLUICE_CONTROL_LANES_KERNEL_DROPS_H_
#define SLUICE_CONTROL_LANES_KERNEL_DROPS_H_

#include <cstdint>

namespace sluice {

struct KernelDrops {
  uint64_t rx_dropped = 0;    // no frame on the fill ring, or a frame too large
  uint64_t rx_ring_full = 0;  // the worker did not keep up
  uint64_t rx_invalid = 0;    // descriptors on the fill ring that the kernel refused
  uint64_t tx_invalid = 0;    // descriptors on the transmit ring that the kernel refused

  KernelDrops& operator+=(const KernelDrops& other);
  uint64_t Sum() const;
};

// The counters with the names that users see.
struct KernelDropCounter {
  const char* name;
  uint64_t KernelDrops::*count;
};
inline constexpr KernelDropCounter kKernelDropCounters[] = {
    {"kernel_rx_dropped", &KernelDrops::rx_dropped},
    {"kernel_rx_ring_full", &KernelDrops::rx_ring_full},
    {"kernel_rx_invalid", &KernelDrops::rx_invalid},
    {"kernel_tx_invalid", &KernelDrops::tx_invalid},
};
static_assert(sizeof(KernelDrops) == sizeof(uint64_t) * (sizeof(kKernelDropCounters) / sizeof(KernelDropCounter)),
              "every counter has a name");

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_KERNEL_DROPS_H_
