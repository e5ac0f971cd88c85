// A packet socket that receives through a ring shared with the kernel (TPACKET_V2: a frame can be read as soon as it
// has arrived, whereas V3 waits for a block). A filter looks for the magic and lets only flowgen's packets in, so other
// traffic on the interface takes no room.
//
//            index_ -> next frame to read; the kernel writes the same ring ahead of us
//   [ user ][ user ][ kernel ][ kernel ] ...     tp_status names the owner of a frame
//
// Receive times are the kernel's, taken in the receive softirq (tpacket_rcv) and converted to CLOCK_MONOTONIC, so that
// a late receiver thread does not lengthen a gap.
//
// Not thread-safe: one thread at a time.
#ifndef SLUICE_TESTS_TRAFFIC_PACKET_RING_H_
#define SLUICE_TESTS_TRAFFIC_PACKET_RING_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "dataplane/base/unique_fd.h"
#include "tests/traffic/clock.h"

namespace sluice::flowgen {

struct ReceivedFrame {
  absl::Span<const uint8_t> bytes;  // valid until Release()
  int64_t receive_ns = 0;           // CLOCK_MONOTONIC
  std::optional<uint16_t> vlan;     // the tag that the kernel took out of the frame
};

class PacketRing {
 public:
  // Opens a ring in the calling thread's namespace, with slots for `largest_frame_bytes`. Longer frames are cut off.
  static absl::StatusOr<PacketRing> Open(int ifindex, uint32_t largest_frame_bytes);

  PacketRing(PacketRing&& other) noexcept;
  PacketRing& operator=(PacketRing&&) = delete;
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;
  ~PacketRing();

  // Returns the next frame, which is ours until Release(); nullopt if there is none.
  std::optional<ReceivedFrame> Next();
  void Release();

  // Waits until a frame comes or the time is over. An interface that goes down meanwhile is not an error.
  void Wait(int timeout_ms);

  // Returns how many frames passed the filter but found the ring full since the last call.
  uint64_t TakeDrops();

 private:
  PacketRing() = default;
  uint8_t* Slot(size_t index) const;

  UniqueFd fd_;
  uint8_t* map_ = nullptr;
  size_t map_bytes_ = 0;
  size_t slot_bytes_ = 0;
  size_t slots_per_block_ = 0;
  size_t slots_ = 0;
  size_t index_ = 0;
  int64_t realtime_offset_ns_ = RealtimeOffsetNs();  // read again whenever the ring is empty
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_PACKET_RING_H_
