#include "dataplane/io/ring_positions.h"

#include <algorithm>

namespace sluice {
namespace {

template <typename Get>
RingPositions OfEach(absl::Span<const QueuePair> pairs, Get get) {
  RingPositions positions{};
  std::transform(pairs.begin(), pairs.end(), positions.begin(), get);
  return positions;
}

}  // namespace

RingPositions RxPositions(absl::Span<const QueuePair> pairs) {
  return OfEach(pairs, [](const QueuePair& pair) { return pair.rx_position(); });
}

bool ReceivedUpTo(absl::Span<const QueuePair> pairs, const RingPositions& positions) {
  return std::equal(pairs.begin(), pairs.end(), positions.begin(),
                    [](const QueuePair& pair, uint32_t position) { return pair.ReceivedUpTo(position); });
}

RingPositions TxPositions(absl::Span<const QueuePair> pairs) {
  return OfEach(pairs, [](const QueuePair& pair) { return pair.tx_position(); });
}

bool SentUpTo(absl::Span<const QueuePair> pairs, const RingPositions& positions) {
  return std::equal(pairs.begin(), pairs.end(), positions.begin(),
                    [](const QueuePair& pair, uint32_t position) { return pair.SentUpTo(position); });
}

RingPositions LostByPair(absl::Span<const QueuePair> pairs) {
  return OfEach(pairs, [](const QueuePair& pair) { return pair.lost(); });
}

}  // namespace sluice
