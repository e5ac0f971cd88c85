// A lane: queue pair i of every port, one UMEM between them, and the way of a frame through it.
//
// In steady state Lane::Poll and the functions it calls in lane.cc are the whole packet path. They leave that file only
// for the rings (io/queue_pair.h), checksums that a sender left to a device (partial_checksum.h), offloaded flows
// (offload/lane_offload.h), the network function, the frames that it makes or keeps (lane_services.h), and frames for
// the kernel (kernel_path.h). While flows move, LaneTransit takes part (lane_transit.h).
//
// Ownership: the lane owns its Umem and its mapped sockets, not their descriptors. Its LaneStats lie in the stats
// segment; the lane is their only writer.
//
// Threads: the worker that polls the lane. Between two of its rounds the control thread may act (Worker::Run), and at
// any time while no worker polls the lane. Any thread may call transit().inbox().Announce.
#ifndef SLUICE_DATAPLANE_LANE_LANE_H_
#define SLUICE_DATAPLANE_LANE_LANE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/time/time.h"
#include "dataplane/base/awake_clock.h"
#include "dataplane/base/clock.h"
#include "dataplane/contract/self_test_frame.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/function/network_function.h"
#include "dataplane/io/queue_pair.h"
#include "dataplane/io/umem.h"
#include "dataplane/io/xsk_socket.h"
#include "dataplane/lane/flow_sampler.h"
#include "dataplane/lane/kernel_path.h"
#include "dataplane/lane/lane_services.h"
#include "dataplane/lane/lane_transit.h"
#include "dataplane/offload/lane_offload.h"

namespace sluice {

struct PortSocket {
  uint32_t port = 0;
  XskSocket socket;
};

class Lane final : private LaneQueues {
 public:
  // Continues from the positions of the rings and the owner bytes (queue_pair.h, umem.h), and posts the first frames to
  // receive into. `stats` must outlive the lane.
  Lane(uint32_t index, Umem umem, std::vector<PortSocket> sockets, LaneStats& stats,
       AwakeClock::Source clock = MonotonicNs);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  uint32_t index() const { return index_; }
  const std::vector<QueuePair>& pairs() const { return pairs_; }
  // Hand-offs, the fence's hold, and flows that move.
  LaneTransit& transit() { return transit_; }
  const LaneTransit& transit() const { return transit_; }
  // Frames that the function gives to the kernel.
  KernelPath& kernel_path() { return kernel_path_; }

  // Before the first round: makes the function's part for this lane.
  void PrepareFor(NetworkFunction& function) { services_.PrepareFor(function); }
  // One round. Returns how many frames it moved: 0 is an idle round.
  uint32_t Poll(NetworkFunction& function);

  // Returns how long the worker may sleep as far as this lane is concerned. No event tells that the kernel or another
  // lane is done with a frame, so the sleep is bounded while they have any.
  absl::Duration SleepBound() const;
  // True if there is work that waiting for the sockets would not see. The last look before sleep (waker.h).
  bool HasNews() const { return transit_.HasNews() || kernel_path_.HasNews(); }
  // False while frames stay in the receive rings on purpose, so that a readable socket is no reason to wake up.
  bool MayReceive() const { return transit_.MayReceive(); }

  // True if no frame waits in a receive ring, none is sent and not completed, none is in a hand-off, and the function
  // holds none.
  bool Quiescent() const;

  // Publishes to XDP from now on how many packets the pairs can take. `credit` is by port, and stays the caller's.
  void ShareCredit(std::vector<QueueCredit>& credit);
  // Offloads flows in this epoch from now on; nullptr: no more. The tables stay the caller's.
  void OffloadFlows(FlowTables* tables, uint32_t epoch);
  // Sets `frames` sent frames of the port aside before they are used again (QueuePair::QuarantineSentFrames).
  void QuarantineSentFrames(uint32_t port, uint32_t frames);
  // Takes the frames of this self-test out of those that are received; nullopt: no more.
  void ExpectSelfTest(const std::optional<SelfTestToken>& token);
  // Sends everything that `source` has handed over, drops frames that have no room, and forgets its ring.
  void DrainInbox(uint32_t source);

  // Counts all frames that are left as dropped, with kLaneClosed. The lane must not be polled any more, and no frame be
  // in another lane's hands.
  void CloseAccounts();

 private:
  uint32_t ReclaimSentFrames();
  // Sends the frames that the function originated or released. Returns how many.
  uint32_t TransmitServices() { return services_.out().count == 0 ? 0 : TransmitOut(); }
  uint32_t TransmitOut();
  uint32_t ReceiveFrom(QueuePair& pair, NetworkFunction& function);
  bool is_bridge() const { return index_ == kBridgeLane; }
  bool offloads() const { return offload_.on() && transit_.transmits_by_own_queues(); }
  void AcknowledgeSent();
  void WakeKernel();

  // LaneQueues. Transmit is also the steady state's.
  FramesByPort Transmit(Burst& burst) override;
  uint32_t TransmitRoom(uint32_t port, uint32_t most) override;
  bool HasTransmitRoom(uint32_t frames) override;
  void Dispose(const Frame& frame) override;
  void Drop(const Frame& frame, DropReason reason) override;
  bool AwaitsCompletions() const override;
  uint64_t ReceiveBacklog() const override;
  bool ReceiveRingNearlyFull() const override;

  const uint32_t index_;
  Umem umem_;
  LaneStats& stats_;
  std::vector<QueuePair> pairs_;
  QueuePair* transmit_[kMaxPorts] = {};  // by port; none where the lane has no transmit ring to the wire
  LaneOffload offload_;
  Burst burst_;
  LaneTransit transit_;
  KernelPath kernel_path_;
  LaneServices services_;
  FlowSampler flow_sampler_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_LANE_H_
