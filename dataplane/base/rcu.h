// Waits for an RCU grace period: when Wait() returns, no BPF program and no NAPI poll that was running when it was
// called is running any more.
//
// Writing an element of an array of maps ends with synchronize_rcu() (kernel/bpf/syscall.c: map_update_elem,
// maybe_wait_bpf_programs), and the hooks of XDP and clsact run with softirqs off from the first map lookup to the
// flush onto the receive rings (net/core/dev.c: net_rx_action; net/core/filter.c: xdp_do_flush), which is a reader's
// side of RCU. MEMBARRIER_CMD_GLOBAL would wait as well, but refuses where a CPU runs with nohz_full
// (kernel/sched/membarrier.c), which is how cores are kept for a dataplane.
//
// Ownership: the object owns both descriptors. The agent makes the maps, which takes CAP_BPF, and passes copies of the
// descriptors to the dataplane, which may only write elements of maps (dataplane/process/confinement.h) and waits by
// the same pair. Threads: any; two may wait at the same time.
#ifndef SLUICE_DATAPLANE_BASE_RCU_H_
#define SLUICE_DATAPLANE_BASE_RCU_H_

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class RcuWaiter {
 public:
  // Makes the two maps. Internal with the kernel's reason, as without CAP_BPF.
  static absl::StatusOr<RcuWaiter> Make();
  // Takes over the descriptors of an array of maps with one element, and of a map that fits it.
  RcuWaiter(UniqueFd outer, UniqueFd inner) : outer_(std::move(outer)), inner_(std::move(inner)) {}

  // Blocks for one grace period, as a rule some milliseconds. An error means that nothing was waited for.
  absl::Status Wait() const;

  // Borrowed; for the other process.
  int outer_fd() const { return outer_.get(); }
  int inner_fd() const { return inner_.get(); }

 private:
  UniqueFd outer_, inner_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_RCU_H_
