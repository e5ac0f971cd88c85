// One port's queue pair in a lane: its socket, and the accounts of what the kernel has in hand.
//
//                 ┌─Replenish─► fill ring ─┐ posted            ┌─► TX ring ─┐ held
//      Umem pool ─┤                        kernel   Transmit ──┘          kernel
//                 └◄─Reclaim── completion ◄┼───────────────────────────────┘
//                                          └─► receive ring ──Receive──► Burst
//
// Fair shares: all pairs of a lane draw on one pool, so each has a limit on what the kernel may hold for
// it (QueuePairLimits). Half of the frames may be posted and half be on their way out, each half divided
// among the ports: a port whose transmit side is stuck can then not take the frames that another port
// receives into.
//
// The order of counting and ring operations is chosen for a crash between any two: a frame may then be
// counted as received twice or as sent not at all, never as sent twice, so the crash_accounting after a
// takeover (crash_accounting.h) only ever has to add drops.
//
// Threads: the one that polls the lane, also the only writer of the LanePortStats.
#ifndef SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_
#define SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/queue_credit.h"
#include "dataplane/io/umem.h"
#include "dataplane/io/xsk_socket.h"

namespace sluice {

// Frames the kernel may hold for one pair.
struct QueuePairLimits {
  uint32_t posted = 0;  // to receive into
  uint32_t held = 0;    // to send

  static QueuePairLimits Of(const UmemLayout& layout, uint32_t port_count) {
    const uint32_t share = layout.frame_count / 2 / port_count;
    return {share, share};
  }
};

class QueuePair {
 public:
  // Goes on where the rings stand: fresh ones, or a dead predecessor's. `sent` counts the frames that were sent and
  // completed.
  QueuePair(uint32_t port, XskSocket socket, Umem& umem, LanePortStats& stats, StatsCounter& sent,
            const QueuePairLimits& limits);

  uint32_t port() const { return port_; }
  // From now on a frame goes back to the pool when so many more have been sent, though at most half of what may be
  // held: for a driver that completes frames before its device has read them. 0: as it is completed. Allocates:
  // between two rounds only.
  void QuarantineSentFrames(uint32_t frames);
  // PublishCredit writes to that queue's element from now on. The memory stays the caller's.
  void ShareCredit(QueueCredit& credit, uint32_t queue);
  bool can_transmit() const { return socket_.tx.exists(); }

  // Takes sent frames back into the pool. Returns how many.
  uint32_t Reclaim();
  // Posts free frames, up to the limit or what the pool has.
  void Replenish();
  // Fills `burst` with what was received; empties it when that is nothing.
  void Receive(Burst& burst);
  // Tells XDP how many more packets it may deliver while more than half of the posted frames wait in the receive ring
  // (bpf/credit.h). To be called after each Replenish.
  void PublishCredit();
  // Puts the first frames on the transmit ring, as many as there is room for, and returns that number.
  // The rest stays with the caller.
  uint32_t Transmit(const Frame* const* frames, uint32_t count);
  // How many of `most` frames Transmit would put there now.
  uint32_t TransmitRoom(uint32_t most);
  // Has the kernel work on both rings, if it asked for that. Leaves a wake-up owed (unsent() > 0) when
  // it stops making progress; the next round's call pays it.
  void Wake();

  int poll_fd() const { return socket_.kernel->poll_fd(); }
  // Frames that came for this pair and that the kernel had to drop; a system call.
  uint32_t lost() const { return socket_.kernel->Lost(); }
  bool rx_empty() const { return socket_.rx.empty(); }
  // Frames received and not yet taken by Receive.
  uint32_t waiting() const { return socket_.rx.waiting(); }
  // With a third more, the kernel would have no frame or no room for the next one.
  bool nearly_full() const { return waiting() > std::min(posted_limit_, socket_.rx.size()) / 4 * 3; }
  // Frames sent and not completed.
  uint32_t held() const { return held_; }
  // Where the receive ring ends now, and whether everything up to such a position has been received.
  uint32_t rx_position() const { return socket_.rx.end_position(); }
  bool ReceivedUpTo(uint32_t position) const { return socket_.rx.peeked_up_to(position); }
  // Where the transmit ring ends now, and whether everything up to such a position has been sent.
  uint32_t tx_position() const { return can_transmit() ? socket_.tx.submitted() : 0; }
  bool SentUpTo(uint32_t position) const { return held_ == 0 || held_ <= socket_.tx.submitted() - position; }
  // Frames the kernel has not even looked at.
  uint32_t unsent() const { return held_ == 0 ? 0 : socket_.tx.untaken(); }

  // For a pair that will be closed: frames waiting to be received count as received and dropped, held
  // ones as dropped, all with kLaneClosed.
  void CloseAccounts();

 private:
  void WakeTx();
  void Quarantine(uint64_t address);

  const uint32_t port_;
  XskSocket socket_;
  Umem& umem_;
  LanePortStats& stats_;
  StatsCounter& sent_;
  const uint32_t posted_limit_;
  const uint32_t held_limit_;
  uint32_t posted_;                    // frames with the kernel to receive into, or received and waiting in the ring
  uint32_t held_;                      // frames on the transmit ring, with the kernel, or on the completion ring
  std::vector<uint64_t> quarantined_;  // a ring of frames completed and not in the pool yet; empty places are kNoFrame
  uint32_t oldest_quarantined_ = 0;    // its index
  QueueCredit* credit_ = nullptr;      // nullptr: XDP is told nothing
  uint32_t queue_ = 0;
  bool limited_ = false;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_
