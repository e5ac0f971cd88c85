// The kernel's part of making and closing lanes (control/kernel/lane_sockets.h). LinuxLaneKernel is the real one; tests
// put a kernel in memory in its place. One thread.
#ifndef SLUICE_CONTROL_LANES_LANE_KERNEL_H_
#define SLUICE_CONTROL_LANES_LANE_KERNEL_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/kernel/lane_sockets.h"
#include "control/lanes/kernel_drops.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

class LaneKernel {
 public:
  virtual ~LaneKernel() = default;
  // Makes the memory, which is called `name` in /proc/PID/maps, and a socket for each queue, not bound yet.
  virtual absl::StatusOr<LaneSockets> Make(const std::string& name, const UmemLayout& layout,
                                           std::vector<QueueAddress> queues) = 0;
  // As BindLaneSockets(): Unimplemented with kAuto when the ports cannot share zero-copy mode.
  virtual absl::Status Bind(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime deadline) = 0;
  // As CheckLaneSockets().
  virtual absl::Status CheckHeld(int umem, const UmemLayout& layout, absl::Span<const int> sockets,
                                 absl::Span<const QueueAddress> queues) const = 0;
  virtual bool IsBound(int socket) const = 0;
  virtual absl::StatusOr<bool> IsZeroCopy(int socket) const = 0;
  // Returns the socket's drop counters; zeros when they cannot be read.
  virtual KernelDrops ReadDrops(int socket) const = 0;
};

class LinuxLaneKernel final : public LaneKernel {
 public:
  absl::StatusOr<LaneSockets> Make(const std::string& name, const UmemLayout& layout,
                                   std::vector<QueueAddress> queues) override;
  absl::Status Bind(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime deadline) override;
  absl::Status CheckHeld(int umem, const UmemLayout& layout, absl::Span<const int> sockets,
                         absl::Span<const QueueAddress> queues) const override;
  bool IsBound(int socket) const override;
  absl::StatusOr<bool> IsZeroCopy(int socket) const override;
  KernelDrops ReadDrops(int socket) const override;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_LANES_LANE_KERNEL_H_
