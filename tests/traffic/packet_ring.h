// A packet socket that receives through a ring shared with the kernel (TPACKET_V2: a frame is readable as
// soon as it is there, where V3 waits for a block). Only flowgen's own packets get in: a filter looks for
// the magic, so other traffic on the interface costs no room.
//
//            index_ -> next frame to read; the kernel writes the same ring ahead of us
//   [ user ][ user ][ kernel ][ kernel ] ...     tp_status says whose a frame is
//
// Receive times are the kernel's, taken in the receive softirq (tpacket_rcv) and turned into
// CLOCK_MONOTONIC, so that a receiver thread that runs late does not lengthen anybody's gap.
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
  absl::Span<const uint8_t> bytes;  // until Release()
  int64_t receive_ns = 0;           // CLOCK_MONOTONIC
  std::optional<uint16_t> vlan;     // the tag the kernel took out of the frame
};

class PacketRing {
 public:
  // `largest_frame_bytes` sizes the ring's slots; longer frames are cut off. The ring is in the calling
  // thread's namespace.
  static absl::StatusOr<PacketRing> Open(int ifindex, uint32_t largest_frame_bytes);

  PacketRing(PacketRing&& other) noexcept;
  PacketRing& operator=(PacketRing&&) = delete;
  PacketRing(const PacketRing&) = delete;
  PacketRing& operator=(const PacketRing&) = delete;
  ~PacketRing();

  // nullopt: none there. The frame is ours until Release().
  std::optional<ReceivedFrame> Next();
  void Release();

  // Until a frame comes or the time is over. An interface that goes down meanwhile is not an error.
  void Wait(int timeout_ms);

  // Frames that got through the filter but found the ring full, since the last call.
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
  int64_t realtime_offset_ns_ = RealtimeOffsetNs();  // read anew whenever the ring is empty
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_PACKET_RING_H_
