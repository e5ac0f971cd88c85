// The locks that keep two agents apart: of each port's device, and of the folder of its pinned maps, which agents in
// two network namespaces may share. To be taken before anything is touched.
//
// Ownership: the object holds them; the kernel releases them when the agent dies. One thread.
#ifndef SLUICE_CONTROL_PORT_DEVICE_LOCKS_H_
#define SLUICE_CONTROL_PORT_DEVICE_LOCKS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "control/config/config.h"
#include "control/kernel/netdev_lock.h"
#include "control/state/lock_file.h"

namespace sluice {

class DeviceLocks {
 public:
  // All or none. `owner`: as LockFile::Take. AlreadyExists, with the owner, when another agent has one; else the errors
  // of NetdevLock::Take.
  static absl::StatusOr<DeviceLocks> Take(const std::vector<PortConfig>& ports, const std::string& pin_root,
                                          absl::string_view owner);

 private:
  std::vector<NetdevLock> netdevs_;
  std::vector<LockFile> pin_folders_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_PORT_DEVICE_LOCKS_H_
