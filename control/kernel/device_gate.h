// The gate: tells whether a device can be a port, before anything is changed on it, and while it is one.
//
// A port needs a device that XDP and AF_XDP see whole: Ethernet frames, queues of its own, and no other owner of its
// packets. Where that is not so, XDP attaches all the same and packets are lost, or frames go out that nobody can read.
// A device of an unknown kind is refused rather than tried. CheckGate is pure; any thread.
#ifndef SLUICE_CONTROL_KERNEL_DEVICE_GATE_H_
#define SLUICE_CONTROL_KERNEL_DEVICE_GATE_H_

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/kernel/links.h"
#include "control/kernel/virtio_device.h"

namespace sluice {

struct GateFacts {
  Link link;
  std::string driver;  // as `ethtool -i` prints it; empty: unknown
  std::string master;  // the name of link.master_ifindex's device
  std::optional<VirtioDevice> virtio;
};

// Reads the facts about a link. An error is one of ReadVirtioDevice().
absl::StatusOr<GateFacts> ReadGateFacts(const Link& link);

// FailedPrecondition, with the reason and the way out, for a device that cannot be a port.
absl::Status CheckGate(const GateFacts& facts);

// Returns the name of a device's folder in the bpf filesystem, which takes no dots (kernel/bpf/inode.c: bpf_lookup):
// "%2E" stands for a dot and "%25" for a per cent sign.
std::string PinFolder(const std::string& netdev);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_DEVICE_GATE_H_
