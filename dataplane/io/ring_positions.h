// Positions in the rings of a lane's queue pairs, to tell later whether everything before them is done.
//
// A position is a free-running ring index, modulo 2^32; it counts as reached when the ring's own index is at or past
// it.
//
// Pure, but LostByPair. Threads: the one that polls the lane, or any while none does.
#ifndef SLUICE_DATAPLANE_IO_RING_POSITIONS_H_
#define SLUICE_DATAPLANE_IO_RING_POSITIONS_H_

#include <array>
#include <cstdint>

#include "absl/types/span.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/io/queue_pair.h"

namespace sluice {

// One position for each pair, in the order of the pairs.
using RingPositions = std::array<uint32_t, kMaxPorts>;

// Returns the ends of the receive rings.
RingPositions RxPositions(absl::Span<const QueuePair> pairs);
// True if every frame before these positions has been received.
bool ReceivedUpTo(absl::Span<const QueuePair> pairs, const RingPositions& positions);
// Returns the ends of the transmit rings.
RingPositions TxPositions(absl::Span<const QueuePair> pairs);
// True if every frame before these positions has been sent and completed.
bool SentUpTo(absl::Span<const QueuePair> pairs, const RingPositions& positions);
// Returns how many packets each pair's socket has dropped, modulo 2^32. A system call for each pair.
RingPositions LostByPair(absl::Span<const QueuePair> pairs);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_IO_RING_POSITIONS_H_
