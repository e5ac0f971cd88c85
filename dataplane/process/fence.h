// The fence: what keeps packets in order while the way they come in changes.
//
// While a port's XDP program is switched off or on, or its RSS table is changed, packets of one flow come in by
// an old lane before the switch and by a new one after it. The new lane must not be quicker:
//
//      open ──Raise(new lanes)──► holding ──Lower(old lanes)──► open
//                                    └─── a ring nearly full, or the bound ───► open, unproven
//
//   1. Raise: the new lanes stop receiving. What comes for them waits in their receive rings, in order; they go
//      on with everything else (completions, hand-offs), so that what the old lanes pass on gets out.
//   2. The agent makes the switch. When the kernel's call returns, no poll of the driver that begins now takes
//      the old way: XDP is set while NAPI is off (drivers/net/virtio_net.c: virtnet_xdp_set), or published and
//      waited for (drivers/net/veth.c: veth_xdp_set).
//   3. Lower: a poll that began before may not have given its redirected frames to the sockets; it runs with
//      softirqs off, which is a reader's side of RCU (Kernel::WaitForRcuGracePeriod). Now all that came the old way
//      is before the ends of the old lanes' receive rings. They get there; then each lane is seen without
//      a hand-off under way; then what stood on its transmit rings is sent, and given back by the device,
//      since queues of a device do not wait for each other. Now everything that came the old way is on the
//      wire, and the new lanes receive again.
//
// Who asks must see to it that nothing is on the old way outside of receive rings when Lower is called. Where the
// switch is made in the driver (XDP) that is so. Where the device makes it (RSS), it has put what came before
// into the old virtqueues when it answers, and the agent has the driver take it from there
// (control/kernel/forced_poll.h). That holds for QEMU's own device; with vhost packets may still sit in the tap's
// rings.
//
// Bounds. Memory: the receive rings, no more. When one is three quarters full its lane receives again by
// itself, unless what other lanes handed over waits there for room to send (a worker looks every millisecond: up to a
// quarter of a million packets a second nothing is lost to that); when the old way is not seen empty within Lower's
// bound, all do. What is received too early is counted as unproven: it may have overtaken. Until Lower is called time
// is bounded by the change itself.
//
// Threads: the control thread; lanes are reached between rounds of their workers.
#ifndef SLUICE_DATAPLANE_PROCESS_FENCE_H_
#define SLUICE_DATAPLANE_PROCESS_FENCE_H_

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/kernel.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

class Fence {
 public:
  Fence(WorkerPool& worker_pool, Kernel& kernel) : worker_pool_(worker_pool), kernel_(kernel) {}

  // These stop receiving, until Lower.
  void Raise(const std::vector<Lane*>& fresh);
  // Waits until everything that came by `old` is out, looking at `all` lanes, then lets those held receive. Old lanes
  // must not be among the held ones. False: the bound came first.
  bool Lower(const std::vector<Lane*>& old, const std::vector<Lane*>& all, absl::Duration bound);
  // Nobody is there to lower it any more: everything goes on, unproven.
  void Drop();
  // The lane is going, and drains what waits in its rings first.
  void Forget(Lane& lane);

  bool raised() const { return !held_.empty(); }

 private:
  bool ComesTrue(const std::vector<Lane*>& lanes, absl::Time end, absl::FunctionRef<bool(size_t, const Lane&)> is);
  void Release(bool proven);

  WorkerPool& worker_pool_;
  Kernel& kernel_;
  std::vector<Lane*> held_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_FENCE_H_
