// The fence: keeps packets in order while they change the lane by which they come in.
//
// While a port's XDP program is switched off or on, or its RSS table is changed, packets of one flow come in by an old
// lane before the switch and by a new one after it. The new lane must not be quicker:
//
//      open ──Raise(new lanes)──► holding ──Lower(old lanes)──► open
//                                    └─── a ring nearly full, or the bound ───► open, unproven
//
//   1. Raise: the new lanes stop receiving. Their packets wait in the receive rings, in order. They do everything else
//      (completions, hand-offs), so that frames which the old lanes hand to them get out.
//   2. The agent makes the switch. When the kernel's call returns, no poll of the driver that begins now takes the old
//      way: XDP is set while NAPI is off (drivers/net/virtio_net.c: virtnet_xdp_set), or published and waited for
//      (drivers/net/veth.c: veth_xdp_set).
//   3. Lower waits for five things, one after the other:
//      a. Every poll that began before the switch has given its redirected frames to the sockets. It runs with softirqs
//         off, which is an RCU read-side section (Kernel::WaitForRcuGracePeriod).
//      b. The ends of the old lanes' receive rings are noted: every packet of the old way is before them.
//      c. The old lanes have received up to there.
//      d. Each lane has been seen once without a frame in a hand-off; then the ends of its transmit rings are noted.
//      e. Each lane has sent up to there, and the device has given the frames back: queues of a device do not wait for
//         each other.
//      Now every packet of the old way is on the wire, and the new lanes receive again.
//
// Precondition of Lower: every packet of the old path is already in a receive ring, or in a driver's poll. Where the
// driver makes the switch (XDP) that is so. Where the device makes it (RSS), earlier packets are in the old virtqueues
// when it answers, and the agent makes the driver take them from there (control/kernel/forced_poll.h). That holds for
// QEMU's own device; with vhost, packets may still be in the tap's rings.
//
// Bounds. Memory: the receive rings. When one is three quarters full, its lane receives again by itself, unless frames
// from other lanes wait there for room to send; a worker looks every millisecond, so up to 250,000 packets a second
// none is lost to that. When the old lanes are not empty within Lower's bound, all new lanes receive again. Packets
// that are received too early count as unproven: they may have overtaken others. Until Lower is called, the change
// itself bounds the time.
//
// Threads: the control thread; it reaches lanes between rounds of their workers.
#ifndef SLUICE_DATAPLANE_PROCESS_FENCE_H_
#define SLUICE_DATAPLANE_PROCESS_FENCE_H_

#include <cstddef>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/time/time.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/kernel.h"
#include "dataplane/worker/worker_pool.h"

namespace sluice {

class Fence {
 public:
  Fence(WorkerPool& worker_pool, Kernel& kernel) : worker_pool_(worker_pool), kernel_(kernel) {}

  // Makes these lanes stop receiving, until Lower.
  void Raise(const std::vector<Lane*>& fresh);
  // Waits until every packet that came by `old` is out, by whichever of `all` lanes, then lets the held lanes receive.
  // Old lanes must not be held themselves. False: the bound came first.
  bool Lower(const std::vector<Lane*>& old, const std::vector<Lane*>& all, absl::Duration bound);
  // Lets the held lanes receive without waiting, unproven: nobody is there to call Lower any more.
  void Drop();
  // Lets this lane receive, unproven: it is about to close, and drains its receive rings first.
  void Forget(Lane& lane);

  bool raised() const { return !held_.empty(); }

 private:
  bool ComesTrue(const std::vector<Lane*>& lanes, SteadyTime end, absl::FunctionRef<bool(size_t, const Lane&)> is);
  void Release(bool proven);

  WorkerPool& worker_pool_;
  Kernel& kernel_;
  std::vector<Lane*> held_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_FENCE_H_
