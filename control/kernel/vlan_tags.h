// The place in which a device gives us the VLAN tags of the frames that it receives. One thread.
#ifndef SLUICE_CONTROL_KERNEL_VLAN_TAGS_H_
#define SLUICE_CONTROL_KERNEL_VLAN_TAGS_H_

#include <string>

#include "absl/status/status.h"

namespace sluice {

enum class TagPlace {
  kInFrame,      // virtio_net
  kBesideFrame,  // veth: a tag that the sender left to its device is in the skb's metadata (bpf/tag_apart.h)
  kTakenOff,     // the device takes tags off, and XDP does not learn of them (rx-vlan-offload)
};

// A device whose features cannot be read is taken for kInFrame.
TagPlace PlaceOfTags(const std::string& netdev);

// True when an XDP program is on the device in generic mode, which does not see tags beside the frame.
bool IsXdpGeneric(int ifindex);

// FailedPrecondition, with the line that helps, for a device that takes tags off.
absl::Status CheckTagsReachXdp(const std::string& netdev);

// Returns "ethtool -K eth1 rxvlan off".
std::string KeepTagsFix(const std::string& netdev);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_VLAN_TAGS_H_
