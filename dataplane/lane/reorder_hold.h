// Keeps a flow's packets in order while the flow changes the lane by which it comes: frames that come the new way wait
// for frames that are still on the old way.
//
// A device without RSS brings a flow to the queue pair by which it was last sent (drivers/net/tun.c: tun_flow_update,
// tun_automq_select_queue). So when another lane hands over frames of a flow to be sent here, the flow is about to come
// here by itself, while older packets of it may still be in the tap's queue, the virtqueue or the receive ring of its
// former pair. These are handed over, too, perhaps after the first packet that came directly. Therefore a frame that is
// received here waits until no frame of its flow has been handed in for kSettleNs, and so do the frames behind it.
//
//   other lanes ──NoteHandedIn──► last_ns of the flow's slot
//   received    ──MustWait? ──no──► sent at once
//                    └─yes─► Hold ──► ring, in order ──ReleaseNext: settled, too long, or forced──► sent
//
// A guest cannot know what a tap still queues, so kSettleNs is no proof: it is far above the time that an emulated
// guest takes from the tap to the receive ring, even when its other cores wait for theirs. A frame that is released
// earlier, because it has waited for kLongestHoldNs or the memory is full, counts as unproven, as at the fence
// (process/fence.h).
//
// Flows are told apart by kSlots values of their hash; flows of one slot wait for each other. Frames of the bridge lane
// do not count: the fence keeps them in order.
//
// Ownership: the caller counts and owns the frames. Nothing here allocates after construction.
//
// Threads: the one that polls the lane. Times are nanoseconds of an AwakeClock.
#ifndef SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_
#define SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_

#include <cstdint>
#include <vector>

#include "dataplane/function/burst.h"

namespace sluice {

class ReorderHold {
 public:
  static constexpr int64_t kSettleNs = 50'000'000;
  static constexpr int64_t kLongestHoldNs = 250'000'000;
  static constexpr uint32_t kSlots = 1024;
  static constexpr uint32_t kCapacity = 512;  // frames: with the slots 36 KB a lane

  // A pair lane has handed in a frame of the flow.
  void NoteHandedIn(uint32_t flow_hash, int64_t now_ns);
  // True if no flow has to wait, until the next NoteHandedIn.
  bool idle() const { return !any_; }
  // Becomes idle if the last flow has settled and no frame waits.
  void ForgetSettled(int64_t now_ns);
  bool MustWait(uint32_t flow_hash, int64_t now_ns) const;

  // Frames that wait.
  uint32_t held() const { return pushed_ - popped_; }
  uint32_t room() const { return kCapacity - held(); }
  // Requires room.
  void Hold(const Frame& frame, uint32_t flow_hash, int64_t now_ns);

  enum class Released { kNone, kSettled, kUnproven };
  // Moves the first frame that waits to `frame`, and its flow's hash to `flow_hash`, if it is due, or in any case when
  // `forced`.
  Released ReleaseNext(int64_t now_ns, bool forced, Frame& frame, uint32_t& flow_hash);

 private:
  struct Slot {
    int64_t last_ns = 0;  // when a frame was last handed in; 0: never
    uint32_t held = 0;    // frames
  };
  struct Held {
    Frame frame;
    uint32_t flow_hash;
    int64_t since_ns;
  };

  bool any_ = false;
  int64_t last_ns_ = 0;  // of all slots
  uint32_t pushed_ = 0;
  uint32_t popped_ = 0;
  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
  std::vector<Held> ring_ = std::vector<Held>(kCapacity);
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_
