// The way of a frame that leaves by another lane's queues: bounded, counted, copied by the destination.
//
//      source lane S (its worker)                        destination lane D (its worker)
//      ─────────────────────────                        ───────────────────────────────
//      Outbox[D].Push(frame)  ──► HandoffRing S→D ──►    Inbox: peek, copy into a frame of D's UMEM
//      Outbox.Flush(): publish, set bit S in             Release: `copied` index moves on
//        D's Inbox, wake D's worker if asleep            transmit
//      Outbox.Reclaim(): frames up to `copied`
//        go back to S's pool
//
// One ring serves both directions. D copies in order, so its `copied` index alone tells S which frames it may use
// again. Their addresses are still in the slots: a slot is free again only after S has reclaimed it.
//
//      reclaimed_ (S) ≤ copied_ (D writes) ≤ published_ (S writes) ≤ pushed_ (S)  < reclaimed_ + size
//
// Frames that D cannot send yet stay in the ring. Meanwhile D receives nothing, and S stops receiving when the ring has
// no room for a burst: packets wait in the receive rings, for a while. A port that sends nothing must not stop the
// others, so after that D drops (LaneTransit::AcceptFrom, LaneTransit::MayReceive).
//
// A lane's cost per round does not grow with the number of lanes: D looks at two words of pending bits, S at one word
// of destinations that have frames from it.
//
// Everything is made at control time and attached between rounds of the worker concerned (worker/worker.h).
//
// Threads: as drawn above. Both sides touch only published_, copied_, the pending bits and the waker pointer.
#ifndef SLUICE_DATAPLANE_LANE_HANDOFF_H_
#define SLUICE_DATAPLANE_LANE_HANDOFF_H_

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <iterator>

#include "dataplane/contract/stats_segment.h"
#include "dataplane/lane/waker.h"

namespace sluice {

// Eight bursts: a source receives as many frames at 5 Mpps in the hundred microseconds that a sleeping destination may
// take to run. A power of two.
inline constexpr uint32_t kHandoffFrames = 512;

struct HandoffFrame {
  const uint8_t* data;  // in the source's UMEM
  uint64_t address;     // of `data`, there
  uint32_t length_bytes;
  uint32_t flow_hash;  // of the frame as the source received it
  uint8_t in_port;     // a drop counts under this port
  uint8_t out_port;    // by the function's verdict
};

// Padded on purpose: each side writes to cache lines of its own.
class HandoffRing {  // NOLINT(clang-analyzer-optin.performance.Padding)
 public:
  HandoffRing() = default;
  // Indices run freely over 32 bits; `start` is any.
  explicit HandoffRing(uint32_t start) : pushed_(start), reclaimed_(start), published_(start), copied_(start) {}

  // --- the source's worker ---
  bool full() const { return pushed_ - reclaimed_ == kHandoffFrames; }
  void Push(const HandoffFrame& frame) { slots_[pushed_++ % kHandoffFrames] = frame; }
  // Release: the slots and the frames' bytes are written before the destination sees the index.
  void Publish() { published_.store(pushed_, std::memory_order_release); }
  // Calls give(address) for every frame that was copied since the last call. Returns how many.
  template <typename Give>
  uint32_t Reclaim(Give give) {
    // Acquire: the destination has read the bytes before we use the frame again.
    const uint32_t copied = copied_.load(std::memory_order_acquire);
    const uint32_t count = copied - reclaimed_;
    for (; reclaimed_ != copied; ++reclaimed_) {
      give(slots_[reclaimed_ % kHandoffFrames].address);
    }
    return count;
  }
  uint32_t in_flight() const { return pushed_ - reclaimed_; }

  // --- the destination's worker ---
  uint32_t Peek(uint32_t most) const {
    return std::min(most, published_.load(std::memory_order_acquire) - copied_.load(std::memory_order_relaxed));
  }
  const HandoffFrame& At(uint32_t i) const {
    return slots_[(copied_.load(std::memory_order_relaxed) + i) % kHandoffFrames];
  }
  // Release: pairs with Reclaim's acquire. The destination is the only writer.
  void Release(uint32_t count) {
    copied_.store(copied_.load(std::memory_order_relaxed) + count, std::memory_order_release);
  }

 private:
  uint32_t pushed_ = 0;
  uint32_t reclaimed_ = 0;
  alignas(kStatsCacheLine) std::atomic<uint32_t> published_{0};
  alignas(kStatsCacheLine) std::atomic<uint32_t> copied_{0};
  alignas(kStatsCacheLine) HandoffFrame slots_[kHandoffFrames];
};
static_assert(std::has_single_bit(kHandoffFrames), "free-running indices");

// The destination's end: the rings of all sources, and a bit for each source that may have frames.
class HandoffInbox {
 public:
  // --- any source's worker ---
  // A read-modify-write each time, even if the bit seems set: the destination may be taking it right now. seq_cst, for
  // the last look of a worker before it sleeps (waker.h).
  void Announce(uint32_t source) {
    pending_[source / 64].fetch_or(uint64_t{1} << (source % 64), std::memory_order_seq_cst);
    // A stale waker is harmless. The lane's new worker stores its own here before its first last look; so if we read
    // the old one, our bit came before that look.
    Waker* waker = waker_.load(std::memory_order_seq_cst);
    if (waker != nullptr) {
      waker->WakeIfAsleep();
    }
  }

  // --- the destination's worker ---
  void SetWaker(Waker* waker) { waker_.store(waker, std::memory_order_seq_cst); }
  void Attach(uint32_t source, HandoffRing* ring) { rings_[source] = ring; }
  HandoffRing* ring(uint32_t source) const { return rings_[source]; }

  // Calls accept(source, ring) for every source that may have frames. The source stays in the inbox while accept
  // answers true; false: its ring is empty.
  template <typename Accept>
  void ForEach(Accept accept) {
    for (uint32_t word = 0; word < kWords; ++word) {
      // A plain load first: a locked instruction each round would cost more than the round.
      if (pending_[word].load(std::memory_order_relaxed) != 0) {
        // Acquire: frames that the source published before it set the bit are visible after we have taken it.
        busy_[word] |= pending_[word].exchange(0, std::memory_order_acquire);
      }
      for (uint64_t left = busy_[word]; left != 0; left &= left - 1) {
        const uint32_t source = word * 64 + static_cast<uint32_t>(std::countr_zero(left));
        if (rings_[source] == nullptr || !accept(source, *rings_[source])) {
          busy_[word] &= ~(uint64_t{1} << (source % 64));
        }
      }
    }
  }
  // True if a source may have frames. Relaxed: a round that misses an announcement is followed by another, or by the
  // last look before sleep (HasNews).
  bool MayHaveFrames() const {
    uint64_t bits = 0;
    for (uint32_t word = 0; word < kWords; ++word) {
      bits |= pending_[word].load(std::memory_order_relaxed) | busy_[word];
    }
    return bits != 0;
  }
  // True if a source has announced frames since the last ForEach. The last look before sleep.
  bool Announced() const {
    return std::any_of(std::begin(pending_), std::end(pending_),
                       [](const auto& word) { return word.load(std::memory_order_seq_cst) != 0; });
  }
  // True also if ForEach left some.
  bool HasNews() const {
    return std::any_of(std::begin(busy_), std::end(busy_), [](uint64_t word) { return word != 0; }) || Announced();
  }

 private:
  static constexpr uint32_t kWords = (kMaxLanes + 63) / 64;

  alignas(kStatsCacheLine) std::atomic<uint64_t> pending_[kWords] = {};  // set by sources, taken by the destination
  std::atomic<Waker*> waker_{nullptr};                                   // written by the destination only
  alignas(kStatsCacheLine) uint64_t busy_[kWords] = {};                  // taken, and the ring not yet found empty
  HandoffRing* rings_[kMaxLanes] = {};                                   // by source
};

// The source's end: one ring per destination.
class HandoffOutbox {
 public:
  enum class Outcome { kPushed, kFull, kNoRoute };

  explicit HandoffOutbox(uint32_t source) : source_(source) {}

  // Without a ring, frames for that lane have no route. Requires that none is in flight there.
  void Attach(uint32_t destination, HandoffRing* ring, HandoffInbox* inbox) {
    ways_[destination] = {ring, inbox, true};
  }
  // New frames for that lane have no route. Frames in flight are still reclaimed.
  void Close(uint32_t destination) { ways_[destination].open = false; }
  void Detach(uint32_t destination) { ways_[destination] = {}; }

  Outcome Push(uint32_t destination, const HandoffFrame& frame) {
    Way& way = ways_[destination];
    if (!way.open) {
      return Outcome::kNoRoute;
    }
    if (way.ring->full()) {
      return Outcome::kFull;
    }
    way.ring->Push(frame);
    touched_ |= uint64_t{1} << destination;
    ++in_flight_;
    return Outcome::kPushed;
  }
  // Publishes the pushed frames to their destinations. Called once a burst.
  void Flush() {
    for (; touched_ != 0; touched_ &= touched_ - 1) {
      const uint32_t destination = static_cast<uint32_t>(std::countr_zero(touched_));
      outstanding_ |= uint64_t{1} << destination;
      ways_[destination].ring->Publish();
      ways_[destination].inbox->Announce(source_);
    }
  }
  // Calls give(address) for every frame that destinations have copied. Returns how many.
  template <typename Give>
  uint32_t Reclaim(Give give) {
    uint32_t reclaimed = 0;
    for (uint64_t left = outstanding_; left != 0; left &= left - 1) {
      const uint32_t destination = static_cast<uint32_t>(std::countr_zero(left));
      HandoffRing& ring = *ways_[destination].ring;
      reclaimed += ring.Reclaim(give);
      if (ring.in_flight() == 0) {
        outstanding_ &= ~(uint64_t{1} << destination);
      }
    }
    in_flight_ -= reclaimed;
    return reclaimed;
  }
  uint32_t in_flight() const { return in_flight_; }

 private:
  struct Way {
    HandoffRing* ring = nullptr;
    HandoffInbox* inbox = nullptr;
    bool open = false;
  };
  static_assert(kMaxPairLanes <= 64, "destinations fit a word");

  const uint32_t source_;
  uint32_t in_flight_ = 0;
  uint64_t touched_ = 0;      // destinations pushed to since the last Flush
  uint64_t outstanding_ = 0;  // destinations with frames not yet reclaimed
  Way ways_[kMaxPairLanes];
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_HANDOFF_H_
