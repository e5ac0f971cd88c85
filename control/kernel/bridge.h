// The bridge of one port: what XDP does not take goes through it to the dataplane all the same.
//
//   port ──clsact ingress: sluice_bridge──► near ═veth═ far ──XDP: sluice_bridge_rx──► AF_XDP socket
//
// Attached from start to end, beside XDP: it sees only what XDP let through. The near end's TSO, GSO,
// tx checksum and VLAN tx offloads are off, so that what arrives are ordinary frames (DESIGN.md 2).
//
// Ownership: the destructor removes nothing; veth, filter and programs outlive the agent. One thread.
#ifndef SLUICE_CONTROL_KERNEL_BRIDGE_H_
#define SLUICE_CONTROL_KERNEL_BRIDGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/kernel/links.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class Bridge {
 public:
  // Makes the bridge, or takes over what an earlier agent left; the port's maps must be pinned in
  // `pin_dir` already. `object_dir` holds the .bpf.o files. Undoes its own steps on failure.
  static absl::StatusOr<Bridge> CreateOrAdopt(const std::string& netdev, const std::string& object_dir,
                                              const std::string& pin_dir);

  const std::string& near_netdev() const { return near_; }
  int near_ifindex() const { return near_ifindex_; }
  const std::string& far_netdev() const { return far_; }
  // XSKMAP of the far end's program; the bridge lane's socket goes in at key 0. Borrowed.
  int xsks_fd() const { return xsks_.get(); }
  bool adopted() const { return adopted_; }

  // Removes filter, veth and programs; the clsact qdisc only if we had made it.
  absl::Status Remove();

 private:
  Bridge() = default;
  absl::Status Create(const Link& port, const std::string& object_dir);

  std::string netdev_, near_, far_, pin_dir_;
  int near_ifindex_ = 0;
  UniqueFd xsks_;
  bool adopted_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_BRIDGE_H_
