// The steering program on one port: loaded, adopted, suspended for a channels resize, and removed.
//
// The program on the device is libxdp's dispatcher, with our program as one part, or, where the kernel refuses
// freplace, our program alone. Suspend() and Resume() take that very program off the device and put it back by netlink
// (net/core/dev.c: dev_change_xdp_fd, XDP_FLAGS_REPLACE), so that no program is loaded again and other people's
// programs in the dispatcher come back with ours.
//
// Ownership: the object holds the attached program's descriptor. Its destructor detaches nothing: the
// program stays on the device, so that traffic flows on when the agent dies. Threads: one.
#ifndef SLUICE_CONTROL_KERNEL_XDP_ATTACHMENT_H_
#define SLUICE_CONTROL_KERNEL_XDP_ATTACHMENT_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/modes.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class XdpAttachment {
 public:
  // Adopts a sluice_steer program that is on `netdev` already and whose maps are pinned in `pin_dir`
  // (xdp-loader put it there, or an agent before us), or else loads `object_path`, pins its maps in
  // `pin_dir` and attaches it in a mode that `setting` allows, with `flow_buckets` buckets in its flow table.
  // Errors: FailedPrecondition for a foreign XDP program that leaves no room for ours, for a program of
  // another SLUICE_ABI_VERSION, and for one whose maps are not pinned there; each says what to do.
  static absl::StatusOr<XdpAttachment> AttachOrAdopt(const std::string& netdev, const std::string& object_path,
                                                     const std::string& pin_dir, ModeSetting setting,
                                                     uint32_t flow_buckets = SLUICE_FLOW_BUCKETS);

  // Takes the program off the device and keeps its descriptor; Resume() puts the same program back. Suspending twice
  // and resuming twice do nothing.
  absl::Status Suspend();
  absl::Status Resume();
  bool suspended() const { return suspended_; }

  // Brings other_programs() up to date, since other people's programs may have joined or left the dispatcher.
  // FailedPrecondition when our program is gone. Does nothing while suspended.
  absl::Status Refresh();

  // Detaches our program for good and leaves others in the dispatcher; removes the pinned maps and the folder. With
  // `leave_adopted`, a program that was adopted stays as it was found.
  absl::Status Remove(bool leave_adopted);

  XdpMode mode() const { return mode_; }
  bool adopted() const { return adopted_; }
  // True if AttachOrAdopt found the program attached. Else it loaded the program, or put back one that an agent had
  // taken off before it died.
  bool was_on_device() const { return was_on_device_; }
  // The number of other programs in the same dispatcher. A channels resize takes them off for a moment, too.
  uint32_t other_programs() const { return other_programs_; }
  const std::string& pin_dir() const { return pin_dir_; }

 private:
  XdpAttachment() = default;
  absl::Status Adopt(int program_fd);
  absl::Status Load(const std::string& object_path, uint32_t flow_buckets, bool allow_skb, XdpMode first_mode);
  absl::Status TakeOff();
  absl::StatusOr<bool> IsAsBefore() const;

  std::string netdev_;
  int ifindex_ = 0;
  std::string pin_dir_;
  XdpMode mode_ = XdpMode::kNative;
  bool adopted_ = false;
  bool was_on_device_ = false;
  bool suspended_ = false;
  uint32_t other_programs_ = 0;
  UniqueFd attached_fd_;      // the dispatcher, or our program when it is alone
  uint32_t attached_id_ = 0;  // the id of attached_fd_'s program; 0 until it was read
  uint32_t program_id_ = 0;   // our own program's id, inside or alone
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_XDP_ATTACHMENT_H_
