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
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
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

  // Takes what an agent left that died while it came up or went down, for Remove(): our program wherever it is, of
  // whatever version, or nothing but pins.
  static absl::StatusOr<XdpAttachment> TakeRemains(const std::string& netdev, const std::string& pin_dir);
  // True if the sluice_steer program on the device is of another SLUICE_ABI_VERSION.
  static bool IsOfOtherVersion(int ifindex, const std::string& netdev);
  // True if a sluice_steer program is on the device.
  static absl::StatusOr<bool> IsOn(int ifindex, const std::string& netdev);

  // Takes the program off the device and keeps its descriptor; Resume() puts the same program back. Suspending twice
  // and resuming twice do nothing.
  absl::Status Suspend();
  absl::Status Resume();
  bool suspended() const { return suspended_; }

  // Brings other_programs() up to date, since other people's programs may have joined or left the dispatcher.
  // FailedPrecondition when our program is gone. Does nothing while suspended.
  absl::Status Refresh();

  // Runs the attached program on a frame, as received on the queue (BPF_PROG_TEST_RUN), and returns its action. With
  // `live` the kernel carries out a redirect (BPF_F_TEST_XDP_LIVE_FRAMES), always as if the frame had come by queue 0,
  // and the action stays unknown: 0 (net/bpf/test_run.c: xdp_test_run_setup). Unimplemented: not on this kernel.
  absl::StatusOr<uint32_t> Run(absl::Span<const uint8_t> frame, uint32_t queue, bool live) const;

  // For error texts, when the device has another name.
  void Rename(std::string netdev) { netdev_ = std::move(netdev); }

  // Pins the maps of a steering program that is on `netdev` in `pin_dir`, after somebody has removed the pins. OK when
  // there is no such program, or nothing to do.
  static absl::Status PinMapsAgain(const std::string& netdev, int ifindex, const std::string& pin_dir);

  // Removes the maps that loading pinned, and their folder if nothing else is in it, such as a map of the bridge.
  static void RemovePins(const std::string& pin_dir);

  // Removes libxdp's pins of a dispatcher that went with its device. The maps stay pinned, for the next device.
  void Abandon();

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
  // The kernel's id of the program on the device (ours or a dispatcher), as of the last Refresh(); 0: not read yet.
  uint32_t attached_id() const { return attached_id_; }
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
  uint32_t attached_id_ = 0;  // of attached_fd_'s program
  uint32_t program_id_ = 0;   // our own program's id, inside or alone
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_XDP_ATTACHMENT_H_
