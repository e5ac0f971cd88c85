// One port's queue pair in a lane: its socket, and the accounts of the frames that the kernel has.
//
//                 ┌─Replenish─► fill ring ─┐ posted            ┌─► TX ring ─┐ held
//      Umem pool ─┤                        kernel   Transmit ──┘          kernel
//                 └◄─Reclaim── completion ◄┼───────────────────────────────┘
//                                          └─► receive ring ──Receive──► Burst
//
// Fair shares: all pairs of a lane use one pool, so each has a limit on the frames that the kernel may hold for it
// (QueuePairLimits). Half of the frames may be posted and half be on their way out; the ports share each half equally.
// So a port whose transmit side is stuck cannot take the frames that another port receives into.
//
// The order of counting and ring operations is chosen for a crash between any two of them: a frame may then be counted
// as received twice, or as sent not at all, but never as sent twice. So after a takeover there are only drops to add
// (process/crash_accounting.h).
//
// Ownership: it owns the mapped socket; `umem`, `stats` and the credit are the caller's.
//
// Threads: the one that polls the lane. It is the only writer of the LanePortStats.
#ifndef SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_
#define SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataplane/contract/self_test_frame.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/function/burst.h"
#include "dataplane/io/queue_credit.h"
#include "dataplane/io/umem.h"
#include "dataplane/io/xsk_socket.h"

namespace sluice {

// The most frames that the kernel may hold for one pair.
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
  // Continues from the positions of the rings, whether they are new or a dead predecessor's. `sent` counts the frames
  // that were sent and completed.
  QueuePair(uint32_t port, XskSocket socket, Umem& umem, LanePortStats& stats, StatsCounter& sent,
            const QueuePairLimits& limits);

  uint32_t port() const { return port_; }
  // Keeps each completed frame out of the pool until `frames` more have been completed, but never more frames than half
  // of the held limit. For a driver that completes frames before its device has read them. 0: none. Allocates, so only
  // between two rounds.
  void QuarantineSentFrames(uint32_t frames);
  // Makes PublishCredit write to this queue's element from now on. The memory stays the caller's.
  void ShareCredit(QueueCredit& credit, uint32_t queue);
  // Makes Receive take this self-test's frames out; nullopt: no more.
  void ExpectSelfTest(const std::optional<SelfTestToken>& token) { self_test_ = token; }
  bool can_transmit() const { return socket_.tx.exists(); }

  // Takes sent frames back into the pool. Returns how many.
  uint32_t Reclaim();
  // Posts free frames, up to the limit or until the pool is empty.
  void Replenish();
  // Fills `burst` with received frames. Its count is 0 if there are none.
  void Receive(Burst& burst);
  // Tells XDP how many more packets it may deliver, while more than half of the posted frames wait in the receive ring
  // (bpf/credit.h). Call it after each Replenish.
  void PublishCredit();
  // Puts the first frames on the transmit ring, as many as there is room for. Returns their number; the other frames
  // stay the caller's.
  uint32_t Transmit(const Frame* const* frames, uint32_t count);
  // Returns how many of `most` frames Transmit would put there now.
  uint32_t TransmitRoom(uint32_t most);
  // Makes the kernel work on both rings, if it asked for that. When it stops making progress, a wake-up stays owed
  // (unsent() > 0), and the next round's call pays it.
  void WakeKernel();

  int poll_fd() const { return socket_.kernel->poll_fd(); }
  // Packets for this pair that the kernel dropped, modulo 2^32. A system call.
  uint32_t lost() const { return socket_.kernel->Lost(); }
  bool rx_empty() const { return socket_.rx.empty(); }
  // Frames received and not yet taken by Receive.
  uint32_t waiting() const { return socket_.rx.waiting(); }
  // True if waiting frames take up three quarters of the receive ring, or of the posted limit.
  bool nearly_full() const { return waiting() > std::min(posted_limit_, socket_.rx.size()) / 4 * 3; }
  // Frames sent and not completed.
  uint32_t held() const { return held_; }
  // Positions (ring_positions.h): the end of the receive ring; true if everything before `position` has been received.
  uint32_t rx_position() const { return socket_.rx.end_position(); }
  bool ReceivedUpTo(uint32_t position) const { return socket_.rx.peeked_up_to(position); }
  // The end of the transmit ring; true if everything before `position` has been sent and completed.
  uint32_t tx_position() const { return can_transmit() ? socket_.tx.submitted() : 0; }
  bool SentUpTo(uint32_t position) const { return held_ == 0 || held_ <= socket_.tx.submitted() - position; }
  // Frames on the transmit ring that the kernel has not taken yet.
  uint32_t unsent() const { return held_ == 0 ? 0 : socket_.tx.untaken(); }

  // For a pair that will be closed: counts frames that wait to be received as received and dropped, and held frames as
  // dropped, all with kLaneClosed.
  void CloseAccounts();

 private:
  template <bool kTests>
  void ReceiveAll(Burst& burst);
  uint64_t TakeOutSelfTest(Burst& burst);
  void WakeTx();
  void Quarantine(uint64_t address);

  const uint32_t port_;
  XskSocket socket_;
  Umem& umem_;
  LanePortStats& stats_;
  StatsCounter& sent_;
  const uint32_t posted_limit_;
  const uint32_t held_limit_;
  uint32_t posted_;                    // frames on the fill ring, with the kernel, or on the receive ring
  uint32_t held_;                      // frames on the transmit ring, with the kernel, or on the completion ring
  std::vector<uint64_t> quarantined_;  // a ring of completed frames that are not in the pool yet; empty: kNoFrame
  uint32_t oldest_quarantined_ = 0;    // index in quarantined_
  QueueCredit* credit_ = nullptr;      // nullptr: XDP is told nothing
  uint32_t queue_ = 0;
  bool limited_ = false;
  std::optional<SelfTestToken> self_test_;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_QUEUE_PAIR_H_
