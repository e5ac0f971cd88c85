// A lane: queue pair i of every port, one UMEM between them, and the way of a frame through it.
//
// Lane::Poll is the packet path, the whole of it; what it calls is in queue_pair.h (rings), handoff.h
// (other lanes) and the network function.
//
// Ownership: the lane owns its Umem and its mapped sockets, not their descriptors. Its LaneStats lie in
// the stats segment; the lane is their only writer.
//
// Threads: everything but inbox() belongs to the one worker that polls the lane, between whose rounds
// the control thread may act (Worker::Run), or to the control thread while no worker polls it.
#ifndef SLUICE_DATAPLANE_LANE_LANE_H_
#define SLUICE_DATAPLANE_LANE_LANE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "dataplane/base/awake_clock.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/function/network_function.h"
#include "dataplane/io/queue_pair.h"
#include "dataplane/io/umem.h"
#include "dataplane/io/xsk_socket.h"
#include "dataplane/lane/handoff.h"
#include "dataplane/lane/kernel_path.h"
#include "dataplane/lane/reorder_hold.h"
#include "dataplane/lane/steering_probe.h"
#include "dataplane/offload/lane_offload.h"

namespace sluice {

struct PortSocket {
  uint32_t port = 0;
  XskSocket socket;
};

class Lane {
 public:
  // Goes on where the rings and owner bytes stand (queue_pair.h, umem.h). Posts the first frames.
  Lane(uint32_t index, Umem umem, std::vector<PortSocket> sockets, LaneStats& stats,
       AwakeClock::Source clock = AwakeClock::Steady);
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  uint32_t index() const { return index_; }

  // One round. Returns how many frames it moved: 0 is an idle round.
  uint32_t Poll(NetworkFunction& function);

  // How long the worker may sleep as far as this lane is concerned. What the kernel or another lane has
  // in hand comes back without waking anyone, so the sleep is bounded while there is any.
  absl::Duration SleepBound() const;
  // Is there work that waiting for the sockets would not see? The last look before sleep (waker.h).
  bool HasNews() const { return handed_in_waits_ ? inbox_.Announced() : inbox_.HasNews(); }
  // Nothing received and unhandled, nothing sent and not completed, no hand-off under way.
  bool Quiescent() const;
  // Nothing in another lane's hands, nothing handed in that is not on a transmit ring, nothing that waits for such.
  // Frames for the kernel do not count.
  bool NoHandoffs() const {
    return outbox_.in_flight() == 0 && (is_bridge() || !inbox_.HasNews()) && reorder_hold_.waiting() == 0;
  }
  // Where the receive rings end now, and whether everything up to such positions has been received and handled.
  RingPositions rx_positions() const;
  bool ReceivedUpTo(const RingPositions& positions) const;
  // Where the transmit rings end now, and whether everything up to such positions has been sent and completed.
  RingPositions tx_positions() const;
  bool SentUpTo(const RingPositions& positions) const;

  // The fence's hold (fence.h): nothing is received until LetReceive, or until a receive ring is nearly full.
  void HoldBack() { held_back_ = true; }
  // `proven`: whatever came another way before what waits here is out.
  void LetReceive(bool proven);

  // Publishes to XDP from now on how many packets the pairs can take. `credit` is by port, and stays the caller's.
  void ShareCredit(std::vector<QueueCredit>& credit);
  // Flows are offloaded from now on, in this epoch; nullptr: no more. The tables stay the caller's.
  void OffloadFlows(FlowTables* tables, uint32_t epoch);

  // What `port` counts as sent rests for a while (queue_pair.h).
  void QuarantineSentFrames(uint32_t port, uint32_t frames);
  // Frames leave by lane FlowHash % lane_count, through the outbox where that is another. 0: by this lane's own
  // queues, all of them. `probe`: flows that still come here are brought there, also those that nothing answers.
  void TransmitByHandoff(uint32_t lane_count, bool probe);
  HandoffOutbox& outbox() { return outbox_; }
  HandoffInbox& inbox() { return inbox_; }
  KernelPath& kernel_path() { return kernel_path_; }
  // Copies in and sends everything that `source` has handed over, dropping what has no room, and forgets its ring.
  void DrainInbox(uint32_t source);
  // Takes back every frame handed to `destination`, which has copied them all, and forgets the ring.
  void ForgetDestination(uint32_t destination);

  // What is left is counted with kLaneClosed. The lane must not be polled any more, and no hand-off be
  // under way.
  void CloseAccounts();

  // Not while it is held back, nor while what other lanes handed over waits for room on a transmit ring, or what is
  // received here would wait for room in a hand-off ring: the receive rings are the better place to wait, and what is
  // handed over is older. Who does not receive does not go round in circles for it either: the cores are needed by
  // whoever makes room, in an emulated guest the device itself.
  bool receives() const { return !held_back_ && !handed_in_waits_ && RoomForReceived(); }
  const std::vector<QueuePair>& pairs() const { return pairs_; }
  LaneStats& stats() { return stats_; }

 private:
  bool is_bridge() const { return index_ == kBridgeLane; }
  uint32_t ReceiveAndProcess(NetworkFunction& function);
  void Process(NetworkFunction& function);
  void AcknowledgeSent();
  RingPositions LostByPair() const;
  void WatchRings();
  uint32_t ReclaimHandoffs();
  uint32_t AcceptHandoffs();
  bool GivesUpOn(uint32_t source);
  uint32_t AcceptFrom(uint32_t source, HandoffRing& ring, bool all);
  void ProbeFlows(const Burst& burst);
  bool RoomToHandOff(uint32_t bursts) const;
  bool RoomForReceived() const;
  void Dispatch(Burst& burst);
  void HoldMovedFlows(Burst& burst);
  uint32_t LetMovedFlowsGo(uint32_t at_least);
  void Leave(Burst& burst);
  void NotTransmit(const Frame& frame);
  void HandOff(Burst& burst);
  uint32_t Send(Burst& burst, bool handed_in);
  void GaugeHeld();
  void Drop(const Frame& frame, DropReason reason);
  void CountDrop(uint32_t in_port, DropReason reason);

  HandoffInbox inbox_;  // first, as it begins a cache line
  const uint32_t index_;
  AwakeClock clock_;
  uint32_t handoff_lanes_ = 0;
  bool probe_ = false;
  bool held_back_ = false;
  bool handed_in_waits_ = false;                               // for room to send it, as of this round
  std::array<int64_t, kMaxLanes> handed_in_waits_since_ns_{};  // by source, without one frame sent; 0: it does not
  bool ahead_of_fence_ = false;                                // receives again before the fence is lowered
  Umem umem_;
  LaneStats& stats_;
  std::vector<QueuePair> pairs_;
  QueuePair* transmit_[kMaxPorts] = {};  // by port; none where the lane has no transmit ring to the wire
  KernelPath kernel_path_;
  ProbedFlows probed_;
  ReorderHold reorder_hold_;
  LaneOffload offload_;
  Burst burst_;
  Burst waited_;  // on the way out of reorder_hold_
  HandoffOutbox outbox_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_LANE_H_
