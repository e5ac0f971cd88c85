// The bridge of one port: carries to the dataplane the packets that XDP does not take, and to the kernel the frames
// that the dataplane gives it.
//
//   port ──clsact ingress: sluice_bridge──► near ═veth═ far ──XDP: sluice_bridge_rx──► bridge lane's AF_XDP socket
//                                           └ clsact egress: sluice_into_bridge drops packets of others
//   port ◄──clsact ingress: sluice_to_kernel── near ═veth═ far ◄── the same socket
//
// It is attached from start to end, with and without XDP, and sees only the packets that XDP let through. The near
// end's TSO, GSO, tx checksum and VLAN tx offloads are off, so that ordinary frames arrive at the far end
// (bpf/to_kernel.h has the way back).
//
// Ownership: the destructor removes nothing; veth, filters and programs outlive the agent. One thread.
#ifndef SLUICE_CONTROL_KERNEL_BRIDGE_H_
#define SLUICE_CONTROL_KERNEL_BRIDGE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bpf/sluice_abi.h"
#include "control/kernel/links.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class Bridge {
 public:
  // Makes the bridge, or takes over what an earlier agent left; the port's maps must be pinned in
  // `pin_dir` already. `object_dir` holds the .bpf.o files. Undoes its own steps on failure.
  static absl::StatusOr<Bridge> CreateOrAdopt(const std::string& netdev, const std::string& object_dir,
                                              const std::string& pin_dir);

  // The name of a bridge's far end, by the port's ifindex.
  static std::string FarNetdev(int port_ifindex);
  const std::string& near_netdev() const { return near_; }
  int near_ifindex() const { return near_ifindex_; }
  const std::string& far_netdev() const { return far_; }
  // XSKMAP of the far end's program; the bridge lane's socket goes in at key 0. Borrowed. Frames that this socket sends
  // go to the kernel once sluice_config.bridge_socket names it.
  int xsks_fd() const { return xsks_.get(); }
  bool adopted() const { return adopted_; }
  // Frames at the near end, summed over CPUs, since the bridge was made.
  absl::StatusOr<sluice_to_kernel_counters> ReadToKernel() const;

  // Puts back filters, programs, pins and links that somebody has taken away or down since, and lets the veth pair grow
  // with the port's MTU. Returns true if there was anything to do. A veth pair that is gone is made anew, with another
  // near_ifindex() and another map: the bridge lane's socket went with the former one. NotFound when the port is gone.
  absl::StatusOr<bool> Repair(const std::string& object_dir);

  // Removes filters, veth and programs; the port's clsact qdisc only if we had made it. If the port is gone, the rest.
  absl::Status Remove();
  // Removes the veth pair that belonged to a port of this ifindex, which is gone.
  static absl::Status RemoveOrphan(int port_ifindex);
  // Removes the parts of a bridge that there are, of an agent that died while it made or removed it. Otherwise as
  // Remove().
  static absl::Status RemoveRemains(int port_ifindex, const std::string& pin_dir);

 private:
  Bridge() = default;
  absl::Status Create(const Link& port, const std::string& object_dir);
  absl::Status Open();
  absl::Status FitMtu(const Link& port);

  std::string near_, far_, pin_dir_;
  int port_ifindex_ = 0;
  int near_ifindex_ = 0;
  bool made_clsact_ = false;  // the port's clsact qdisc is ours
  UniqueFd xsks_, to_kernel_;
  bool adopted_ = false;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_BRIDGE_H_
