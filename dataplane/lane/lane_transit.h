// A lane's part in moving flows: frames that come from other lanes or leave by them, frames that wait for their turn,
// the fence's hold, and the backlog of packets behind it. While no flow moves it is idle(), and the lane asks that and
// MayReceive(), and no more.
//
//   other lanes ──► inbox ──Run: copy──────────────────────────────────┐
//                                                                      ▼
//   received ──Transmit──► ReorderHold: has the flow just moved here? ─┴─no──► LaneQueues: this lane's transmit rings
//                              │ yes: wait            ▲                │
//                              └──────── Run: settled ┘                └─HandOff: by another lane──► outbox ──► lanes
//
// Calls. The lane calls Run, NoteReceived and Transmit. These call LaneQueues, which Lane implements, and which calls
// nothing here.
//
// Bounds. Each source may put a burst a round into this lane. Frames that have no room on a transmit ring wait in their
// source's hand-off ring and hold up this lane's own receive rings, but no longer than 100 ms (kLongestWaitForRoomNs),
// then they are dropped. At most ReorderHold::kCapacity frames wait for their turn.
//
// Backlog. A lane that was held back finds more packets in its receive rings than a transmit ring takes at once. It
// catches up: it receives a burst only when every transmit ring has room for it, until the receive rings have been
// almost empty once, for 2 s at most (kLongestCatchUpNs), and no longer than a port sends nothing for 100 ms. At other
// times a transmit ring without room costs packets, since a slow port must not hold up the others.
//
// Every frame that waits here or in another lane's hands is in the gauge LaneStats::handoff_held.
//
// Ownership: frames in the outbox and in the ReorderHold belong to this lane's Umem. The hand-off rings and the other
// lanes' inboxes belong to whoever attaches them (dataplane/process/handoff_fabric.h).
//
// Threads: the one that polls the lane; but any thread may call inbox().Announce. Memory order: handoff.h, waker.h.
#ifndef SLUICE_DATAPLANE_LANE_LANE_TRANSIT_H_
#define SLUICE_DATAPLANE_LANE_LANE_TRANSIT_H_

#include <algorithm>
#include <array>
#include <cstdint>

#include "absl/time/time.h"
#include "dataplane/base/awake_clock.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/umem.h"
#include "dataplane/lane/handoff.h"
#include "dataplane/lane/reorder_hold.h"
#include "dataplane/lane/steering_probe.h"

namespace sluice {

using FramesByPort = std::array<uint32_t, kMaxPorts>;

// The lane's own queue pairs, as far as its transit needs them.
class LaneQueues {
 public:
  // Puts each frame on the transmit ring of its verdict's port, or drops it. Returns how many frames went.
  virtual FramesByPort Transmit(Burst& burst) = 0;
  // Returns how many of `most` frames Transmit would put on the port's ring now. Without a ring that is `most`:
  // Transmit drops them, so they need no room.
  virtual uint32_t TransmitRoom(uint32_t port, uint32_t most) = 0;
  // Does what the verdict says of a frame that no port transmits: drops it, gives it to the kernel, or leaves it to the
  // function that holds it.
  virtual void Dispose(const Frame& frame) = 0;
  // Counts the drop and gives the frame back to the pool.
  virtual void Drop(const Frame& frame, DropReason reason) = 0;
  // True while frames are sent and not completed: these come back to the pool by themselves.
  virtual bool AwaitsCompletions() const = 0;
  // Returns the number of frames that wait in all receive rings.
  virtual uint64_t ReceiveBacklog() const = 0;
  // True if every port's transmit ring has room for `frames`.
  virtual bool HasTransmitRoom(uint32_t frames) = 0;
  // True if a receive ring is nearly full (QueuePair::nearly_full).
  virtual bool ReceiveRingNearlyFull() const = 0;

 protected:
  ~LaneQueues() = default;
};

class LaneTransit {
 public:
  // `umem`, `queues` and `stats` are the lane's and must outlive this object. `clock` is monotonic, in nanoseconds.
  LaneTransit(uint32_t lane, Umem& umem, LaneQueues& queues, LaneStats& stats, AwakeClock::Source clock);
  LaneTransit(const LaneTransit&) = delete;
  LaneTransit& operator=(const LaneTransit&) = delete;

  // --- the lane, each round ---

  // True if no other lane has anything to do with this one's frames: then Run, NoteReceived and Transmit have nothing
  // to do. Another lane may hand frames over at any time; a relaxed load sees them in one of the next rounds.
  bool idle() const {
    return handoff_lanes_ == 0 && !held_back_ && !ahead_of_fence_ && !catches_up() && outbox_.in_flight() == 0 &&
           reorder_hold_.idle() && !inbox_.MayHaveFrames();
  }
  // Takes back frames that other lanes have copied, sends frames that other lanes handed over, and frames whose turn
  // has come; ends the fence's hold if a receive ring is nearly full. Returns how many frames it moved.
  uint32_t Run();
  // False while the fence holds the lane, while frames from other lanes wait for room on a transmit ring (they are
  // older), while the outbox might not take a burst, and while a lane that catches up has no room for one. While it is
  // false the worker sleeps instead of spinning: in an emulated guest the device needs the core to make room.
  bool MayReceive() const {
    return !held_back_ && !handed_in_waits_ && RoomForReceived() && (!catches_up() || RoomToCatchUp());
  }
  // Counts frames received ahead of the fence, hashes their flows and probes them. Needs the headers; before the
  // function changes the frames: the device knows flows by the headers it delivered.
  void NoteReceived(Burst& burst);
  // Sends each frame by the lane that its flow belongs to, this one or another, or holds it until its turn. Needs the
  // hashes that NoteReceived stored.
  void Transmit(Burst& burst);
  // Returns how many frames the function may send ahead of a burst that is received, a burst at most, so that the
  // outbox has room for both.
  uint32_t RoomForOriginated() const {
    if (handoff_lanes_ == 0) {
      return kBurstFrames;
    }
    const uint32_t taken = outbox_.in_flight() + BurstsForReceived() * kBurstFrames;
    return taken >= kHandoffFrames ? 0 : std::min(kBurstFrames, kHandoffFrames - taken);
  }
  // True if frames leave by this lane's own queues.
  bool transmits_by_own_queues() const { return handoff_lanes_ == 0; }

  // --- the lane's worker, before it sleeps ---

  // Returns how long the worker may sleep: copied hand-offs, room and time come without an event.
  absl::Duration SleepBound() const;
  // True if there is work that waiting for the sockets would not see. The last look before sleep (waker.h).
  bool HasNews() const { return handed_in_waits_ ? inbox_.Announced() : inbox_.HasNews(); }

  // --- between two rounds ---

  // True if no frame is in another lane's hands, none that was handed in is missing on a transmit ring, and none waits
  // for its turn.
  bool empty() const { return outbox_.in_flight() == 0 && !inbox_.HasNews() && reorder_hold_.held() == 0; }

  // The fence (process/fence.h): the lane receives nothing until LetReceive, or until a receive ring is nearly full.
  void HoldBack() { held_back_ = true; }
  // `proven`: all older packets of the flows that wait in the receive rings have been sent.
  void LetReceive(bool proven);

  // Packets may have gathered in the receive rings while nobody received them: catches up with these.
  void CatchUp();

  // Frames leave by lane flow hash % lane_count, through the outbox where that is another lane. 0: all of them by this
  // lane's own queues. `probe`: a steering probe brings each flow there, so that flows which nothing answers move, too.
  void TransmitByHandoff(uint32_t lane_count, bool probe);
  HandoffOutbox& outbox() { return outbox_; }
  HandoffInbox& inbox() { return inbox_; }
  // Sends a burst of what `source` has handed over, and drops frames that have no room. Returns how many left the ring.
  uint32_t AcceptAll(uint32_t source);
  // Takes back every frame handed to `destination`, which has copied them all, and forgets the ring.
  void ForgetDestination(uint32_t destination);

  // Drops frames that wait for their turn, with kLaneClosed. The lane must not be polled any more.
  void CloseAccounts();

 private:
  enum class WithoutRoom { kWaits, kIsDropped };

  uint32_t ReclaimHandoffs();
  uint32_t AcceptHandoffs();
  uint32_t AcceptFrom(uint32_t source, HandoffRing& ring, WithoutRoom without_room);
  uint32_t CountWithRoom(const HandoffRing& ring, uint32_t count);
  void NoteMovingFlows(uint32_t source, const HandoffRing& ring, uint32_t count);
  void CopyInAll(const HandoffRing& ring, uint32_t count);
  uint32_t TransmitHandedIn();
  bool GaveUpOn(uint32_t source);
  void HoldMovedFlows(Burst& burst);
  uint32_t ReleaseMovedFlows(uint32_t at_least);
  void TransmitOrHandOff(Burst& burst);
  void HandOff(Burst& burst);
  void ProbeFlows(const Burst& burst);
  bool RoomToHandOff(uint32_t bursts) const {
    return handoff_lanes_ == 0 || outbox_.in_flight() + bursts * kBurstFrames <= kHandoffFrames;
  }
  // A whole burst may go to one lane, so that lane's ring must be able to take it. Else packets wait in the receive
  // ring.
  bool RoomForReceived() const { return RoomToHandOff(BurstsForReceived()); }
  // Returns the bursts that one received burst may hand over: itself, or also a probe for each frame and a burst of
  // held frames before it.
  uint32_t BurstsForReceived() const { return probe_ || reorder_hold_.held() > 0 ? 3 : 1; }
  bool catches_up() const { return catch_up_until_ns_ != 0; }
  bool RoomToCatchUp() const { return queues_.HasTransmitRoom(BurstsForReceived() * kBurstFrames); }
  void LookAtBacklog();
  void GaugeHeld() { stats_.handoff_held.Set(outbox_.in_flight() + reorder_hold_.held()); }

  HandoffInbox inbox_;  // first, as it begins a cache line
  const uint32_t lane_;
  uint32_t handoff_lanes_ = 0;
  bool probe_ = false;
  bool held_back_ = false;
  bool ahead_of_fence_ = false;  // receives again before the fence is lowered
  bool handed_in_waits_ =
      false;  // frames of the inbox wait for room, as of this round; their sources stay in the inbox
  ReorderHold reorder_hold_;
  HandoffOutbox outbox_;
  Umem& umem_;
  LaneQueues& queues_;
  LaneStats& stats_;
  AwakeClock clock_;
  ProbedFlows probed_;
  Burst burst_{};                                // of frames that were handed in, or held
  int64_t catch_up_until_ns_ = 0;                // 0: the lane does not catch up
  int64_t backlog_waits_for_room_since_ns_ = 0;  // 0: it does not wait
  // By source: since when frames wait for room without one of them sent; 0: none waits.
  std::array<int64_t, kMaxLanes> waits_for_room_since_ns_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_LANE_TRANSIT_H_
