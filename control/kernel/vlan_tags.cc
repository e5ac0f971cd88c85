#include "control/kernel/vlan_tags.h"

#include <bpf/libbpf.h>
#include <linux/if_link.h>

#include <algorithm>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/ethtool.h"

namespace sluice {

TagPlace PlaceOfTags(const std::string& netdev) {
  // veth has the feature, too, which changes nothing there.
  if (const absl::StatusOr<DriverInfo> driver = GetDriver(netdev); driver.ok() && driver->driver == "veth") {
    return TagPlace::kBesideFrame;
  }
  const absl::StatusOr<std::vector<std::string>> active = ActiveFeatures(netdev);
  const bool taken_off = active.ok() && std::any_of(active->begin(), active->end(), [](const std::string& name) {
                           return absl::StartsWith(name, "rx-vlan") && absl::EndsWith(name, "hw-parse");
                         });
  return taken_off ? TagPlace::kTakenOff : TagPlace::kInFrame;
}

bool IsXdpGeneric(int ifindex) {
  bpf_xdp_query_opts xdp{};
  xdp.sz = sizeof(xdp);
  return bpf_xdp_query(ifindex, 0, &xdp) == 0 && xdp.attach_mode == XDP_ATTACHED_SKB;
}

absl::Status CheckTagsReachXdp(const std::string& netdev) {
  if (PlaceOfTags(netdev) != TagPlace::kTakenOff) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(absl::StrCat(
      netdev,
      ": the device takes VLAN tags off, so tagged frames would count as untagged; run: ", KeepTagsFix(netdev)));
}

std::string KeepTagsFix(const std::string& netdev) {
  return absl::StrCat("ethtool -K ", netdev, " rxvlan off");
}

}  // namespace sluice
