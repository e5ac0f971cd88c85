// Flows that change the lane they come by: what comes the new way waits for what is still on the old one.
//
// A device without RSS brings a flow to the queue pair it was last sent on (drivers/net/tun.c: tun_flow_update,
// tun_automq_select_queue). So when another lane hands over frames of a flow to be sent here, the flow is about to
// come here by itself, while older packets of it may still be in the tap's queue, the virtqueue or the receive ring
// of the pair it came by. Those are handed over, too, perhaps after the first that came directly. Therefore a frame
// that is received here waits until none of its flow was handed in for kSettle, and so do those behind it.
//
// Nobody tells a guest what a tap still queues, so kSettle is no proof: it is far above what an emulated guest takes
// from the tap to the receive ring, also when its other cores wait their turn for a while. What had to go before,
// since kMost was over or the memory was full, is counted as unproven, as at the fence (fence.h).
//
// Flows are told apart by kSlots values of their hash; those of one slot wait for each other. The bridge lane's
// frames do not count: who comes by the bridge is the fence's business.
//
// Threads: belongs to one lane, and so to whoever polls that. Times are nanoseconds of an AwakeClock.
#ifndef SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_
#define SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_

#include <cstdint>
#include <vector>

#include "dataplane/function/burst.h"

namespace sluice {

class ReorderHold {
 public:
  static constexpr int64_t kSettleNs = 50'000'000;
  static constexpr int64_t kMostNs = 250'000'000;
  static constexpr uint32_t kSlots = 1024;
  static constexpr uint32_t kCapacity = 512;  // frames: with the slots 36 KB a lane

  // A frame of the flow was handed in by another pair lane.
  void HandedIn(uint32_t flow_hash, int64_t now_ns);
  // No flow has to wait, until the next HandedIn.
  bool idle() const { return !any_; }
  // Makes it idle when the last one has settled.
  void Forget(int64_t now_ns);
  bool MustWait(uint32_t flow_hash, int64_t now_ns) const;

  uint32_t waiting() const { return pushed_ - popped_; }
  uint32_t room() const { return kCapacity - waiting(); }
  // Requires room.
  void Wait(const Frame& frame, uint32_t flow_hash, int64_t now_ns);

  enum class Go { kNobody, kSettled, kUnproven };
  // What becomes of the first that waits, and that one if it goes. `forced`: it goes in any case.
  Go Next(int64_t now_ns, bool forced, Frame& frame, uint32_t& flow_hash);

 private:
  struct Slot {
    int64_t last_ns = 0;  // handed in; 0: never
    uint32_t waiting = 0;
  };
  struct Waiting {
    Frame frame;
    uint32_t flow_hash;
    int64_t since_ns;
  };

  bool any_ = false;
  int64_t last_ns_ = 0;  // of all slots
  uint32_t pushed_ = 0;
  uint32_t popped_ = 0;
  std::vector<Slot> slots_ = std::vector<Slot>(kSlots);
  std::vector<Waiting> ring_ = std::vector<Waiting>(kCapacity);
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_LANE_REORDER_HOLD_H_
