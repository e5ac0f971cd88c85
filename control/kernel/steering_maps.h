// The maps of one port's steering program, opened from where they are pinned. Values are those of
// bpf/sluice_abi.h. One thread. Errors name the map and carry the kernel's.
#ifndef SLUICE_CONTROL_KERNEL_STEERING_MAPS_H_
#define SLUICE_CONTROL_KERNEL_STEERING_MAPS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "bpf/sluice_abi.h"
#include "dataplane/contract/unique_fd.h"

namespace sluice {

class SteeringMaps {
 public:
  static absl::StatusOr<SteeringMaps> Open(const std::string& pin_dir);

  // The XSKMAP, keyed by RX queue. Borrowed.
  int xsks_fd() const { return xsks_.get(); }
  // Absent entries are not an error.
  absl::Status RemoveSocket(uint32_t queue);

  absl::StatusOr<sluice_config> GetConfig() const;
  // Replaces the element whole.
  absl::Status SetConfig(const sluice_config& config);
  // Fills the idle bank, clears its hit counters and flips to it: no packet sees half.
  absl::Status SetRules(absl::Span<const sluice_rule> rules);
  // Makes the set of local addresses exactly `addresses` (adds first, then deletes).
  absl::Status SetLocals(absl::Span<const sluice_address> addresses);

  // Summed over CPUs.
  absl::StatusOr<sluice_counters> ReadCounters(uint32_t queue) const;

 private:
  SteeringMaps() = default;
  UniqueFd xsks_, config_, rules_, rule_hits_, locals_, counters_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_STEERING_MAPS_H_
