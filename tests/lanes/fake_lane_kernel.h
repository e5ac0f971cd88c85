// The kernel's part of lanes, in memory. A socket is an empty memfd; Bind only remembers that it was bound, and in
// which mode.
#ifndef SLUICE_TESTS_LANES_FAKE_LANE_KERNEL_H_
#define SLUICE_TESTS_LANES_FAKE_LANE_KERNEL_H_

#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/lanes/lane_kernel.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

class FakeLaneKernel final : public LaneKernel {
 public:
  explicit FakeLaneKernel(std::vector<std::string>& log) : log_(log) {}

  absl::StatusOr<LaneSockets> Make(const std::string& name, const UmemLayout& layout,
                                   std::vector<QueueAddress> queues) override {
    log_.push_back(absl::StrCat("kernel: make ", name));
    if (refuses_to_make == name) {
      return absl::ResourceExhaustedError(absl::StrCat("no memory for ", name));
    }
    LaneSockets lane;
    lane.umem = UniqueFd(memfd_create("umem", MFD_CLOEXEC));
    lane.layout = layout;
    for (const QueueAddress& queue : queues) {
      lane.queues.push_back(queue);
      lane.sockets.emplace_back(memfd_create("socket", MFD_CLOEXEC));
    }
    return lane;
  }

  absl::Status Bind(LaneSockets& lane, ModeSetting wanted, bool xdp_is_skb, SteadyTime /*deadline*/) override {
    const std::string where = absl::StrCat(lane.queues.front().netdev, "/", lane.queues.front().queue);
    log_.push_back(
        absl::StrCat("kernel: bind ", where, wanted == ModeSetting::kAuto ? " auto" : "", xdp_is_skb ? " skb" : ""));
    if (refuses_to_bind == where) {
      return absl::FailedPreconditionError(absl::StrCat(where, " is taken"));
    }
    if (wanted == ModeSetting::kAuto && ports_disagree) {
      return absl::UnimplementedError("the other port cannot");
    }
    const bool zero_copy = has_zero_copy && (wanted == ModeSetting::kAuto || wanted == ModeSetting::kZeroCopy);
    lane.mode = zero_copy ? XskMode::kZeroCopy : XskMode::kCopy;
    for (const UniqueFd& socket : lane.sockets) {
      bound_.insert(FileOf(socket.get()));
      zero_copy ? (void)zero_copy_.insert(FileOf(socket.get())) : (void)0;
    }
    return absl::OkStatus();
  }
  // The device of this socket is gone.
  void Unbind(int socket) { bound_.erase(FileOf(socket)); }
  absl::Status CheckHeld(int /*umem*/, const UmemLayout& layout, absl::Span<const int> sockets,
                         absl::Span<const QueueAddress> queues) const override {
    log_.push_back(absl::StrCat("kernel: check ", sockets.size(), " sockets with ", layout.frame_count, " frames on ",
                                queues.front().netdev, "/", queues.front().queue));
    return held_is;
  }
  bool IsBound(int socket) const override { return bound_.contains(FileOf(socket)); }
  absl::StatusOr<bool> IsZeroCopy(int socket) const override { return zero_copy_.contains(FileOf(socket)); }
  KernelDrops ReadDrops(int /*socket*/) const override { return drops_of_each; }

  absl::Status held_is;  // of every lane that a survivor gives
  bool has_zero_copy = false;
  bool ports_disagree = false;  // one port can do zero-copy, the other cannot
  std::string refuses_to_make;  // the name of a lane
  std::string refuses_to_bind;  // NETDEV/QUEUE of a lane's first port
  KernelDrops drops_of_each;    // the drops that each socket reports

 private:
  static ino_t FileOf(int fd) {
    struct stat file {};
    fstat(fd, &file);
    return file.st_ino;
  }

  std::vector<std::string>& log_;
  std::set<ino_t> bound_, zero_copy_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_LANES_FAKE_LANE_KERNEL_H_
