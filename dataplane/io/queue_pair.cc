#include "dataplane/io/queue_pair.h"

#include <algorithm>
#include <utility>

namespace sluice {
namespace {

// The most sendto() calls in one round. Each sends up to 32 frames in copy mode, so this clears four bursts: more than
// a round adds, and so few that other lanes of the worker do not wait long.
constexpr uint32_t kMaxTxWakeups = 8;
constexpr uint64_t kNoFrame = ~uint64_t{0};

// Every posted frame comes back as one received entry, and every sent frame as one completion. So the difference of the
// free-running indices is the number of frames that the kernel still has. The indices survive this process.
uint32_t PostedByIndices(const XskSocket& socket) {
  return socket.fill.submitted() - socket.rx.consumed();
}
uint32_t HeldByIndices(const XskSocket& socket) {
  return socket.tx.exists() ? socket.tx.submitted() - socket.completion.consumed() : 0;
}

}  // namespace

QueuePair::QueuePair(uint32_t port, XskSocket socket, Umem& umem, LanePortStats& stats, StatsCounter& sent,
                     const QueuePairLimits& limits)
    : port_(port),
      socket_(std::move(socket)),
      umem_(umem),
      stats_(stats),
      sent_(sent),
      posted_limit_(std::min(limits.posted, socket_.fill.size())),
      held_limit_(std::min(limits.held, socket_.completion.exists() ? socket_.completion.size() : 0)),
      posted_(PostedByIndices(socket_)),
      held_(HeldByIndices(socket_)) {
  stats_.held.Set(held_);
}

void QueuePair::QuarantineSentFrames(uint32_t frames) {
  frames = std::min(frames, held_limit_ / 2);
  if (frames == quarantined_.size()) {
    return;
  }
  for (const uint64_t address : quarantined_) {
    if (address != kNoFrame) {
      umem_.Give(address);
    }
  }
  quarantined_.assign(frames, kNoFrame);
  oldest_quarantined_ = 0;
}

void QueuePair::Quarantine(uint64_t address) {
  address = std::exchange(quarantined_[oldest_quarantined_], address);
  oldest_quarantined_ = (oldest_quarantined_ + 1) % quarantined_.size();
  if (address != kNoFrame) {
    umem_.Give(address);
  }
}

uint32_t QueuePair::Reclaim() {
  uint32_t reclaimed = 0;
  while (held_ > 0) {
    uint64_t addresses[kBurstFrames];
    uint32_t index;
    const uint32_t count = socket_.completion.Peek(kBurstFrames, &index);
    if (count == 0) {
      break;
    }
    for (uint32_t i = 0; i < count; ++i) {
      addresses[i] = socket_.completion.Address(index + i);
    }
    socket_.completion.Release(count);
    Umem::AfterRelease();
    const bool quarantines = !quarantined_.empty();
    for (uint32_t i = 0; i < count; ++i) {
      umem_.MarkUser(addresses[i]);
      quarantines ? Quarantine(addresses[i]) : umem_.Give(addresses[i]);
    }
    held_ -= count;
    sent_.Add(count);
    stats_.held.Set(held_);
    reclaimed += count;
  }
  return reclaimed;
}

void QueuePair::Replenish() {
  while (posted_ < posted_limit_) {
    // In bursts, so that a crash strands one burst at most (contract/umem_layout.h).
    const uint32_t wanted = std::min({posted_limit_ - posted_, umem_.free_frames(), kBurstFrames});
    uint32_t index;
    if (wanted == 0 || socket_.fill.Reserve(wanted, &index) == 0) {
      return;
    }
    for (uint32_t i = 0; i < wanted; ++i) {
      const uint64_t address = umem_.Take();
      umem_.MarkKernel(address);
      socket_.fill.Address(index + i) = address;
    }
    socket_.fill.Submit(wanted);
    posted_ += wanted;
  }
}

// Two copies, so that a frame costs no more than without a self-test (tests/cost).
void QueuePair::Receive(Burst& burst) {
  if (self_test_.has_value()) [[unlikely]] {
    ReceiveAll<true>(burst);
  } else {
    ReceiveAll<false>(burst);
  }
}

template <bool kTests>
inline void QueuePair::ReceiveAll(Burst& burst) {
  uint32_t index;
  const uint32_t count = socket_.rx.Peek(kBurstFrames, &index);
  burst.count = count;
  if (count == 0) {
    return;
  }
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const xdp_desc& descriptor = socket_.rx.Descriptor(index + i);
    uint8_t* data = umem_.Data(descriptor.addr);
    __builtin_prefetch(data);
    bytes += descriptor.len;
    burst.frames[i] = {data, descriptor.addr, descriptor.len, static_cast<uint8_t>(port_), Verdict()};
  }
  [[maybe_unused]] uint64_t self_test = kNoFrame;
  if constexpr (kTests) {
    self_test = TakeOutSelfTest(burst);
    bytes -= self_test == kNoFrame ? 0 : sizeof(sluice_self_test_frame);
  }
  stats_.rx_packets.Add(burst.count);
  stats_.rx_bytes.Add(bytes);
  socket_.rx.Release(count);
  Umem::AfterRelease();
  for (const Frame& frame : burst) {
    umem_.MarkUser(frame.address);
  }
  posted_ -= count;
  if constexpr (kTests) {
    if (self_test != kNoFrame) {
      umem_.MarkUser(self_test);
      umem_.Give(self_test);
      stats_.self_test_packets.Add(1);
    }
  }
}

// Takes the first frame of the self-test out of the burst and returns its address; kNoFrame: there is none.
uint64_t QueuePair::TakeOutSelfTest(Burst& burst) {
  Frame* const end = burst.frames + burst.count;
  Frame* const found = std::find_if(burst.frames, end, [this](const Frame& frame) {
    return IsSelfTestFrame(frame.data, frame.length_bytes, *self_test_);
  });
  if (found == end) {
    return kNoFrame;
  }
  const uint64_t address = found->address;
  std::move(found + 1, end, found);
  --burst.count;
  return address;
}

void QueuePair::ShareCredit(QueueCredit& credit, uint32_t queue) {
  credit_ = &credit;
  queue_ = queue;
  limited_ = false;
  credit.Unlimit(queue);
}

void QueuePair::PublishCredit() {
  if (credit_ == nullptr) {
    return;
  }
  const uint32_t waits = waiting();
  const bool is_behind = waits > posted_limit_ / 2;
  if (is_behind) {
    credit_->Limit(queue_, posted_ - waits);
  } else if (limited_) {
    credit_->Unlimit(queue_);
  }
  limited_ = is_behind;
}

uint32_t QueuePair::TransmitRoom(uint32_t most) {
  const uint32_t allowed = held_ < held_limit_ ? held_limit_ - held_ : 0;
  return std::min({most, allowed, socket_.tx.Room(most)});
}

uint32_t QueuePair::Transmit(const Frame* const* frames, uint32_t count) {
  count = TransmitRoom(count);
  uint32_t index;
  if (count == 0 || socket_.tx.Reserve(count, &index) == 0) {
    return 0;
  }
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const Frame& frame = *frames[i];
    umem_.MarkKernel(frame.address);
    socket_.tx.Descriptor(index + i) = {frame.address, frame.length_bytes, 0};
    bytes += frame.length_bytes;
  }
  socket_.tx.Submit(count);
  held_ += count;
  stats_.tx_bytes.Add(bytes);
  stats_.held.Set(held_);
  return count;
}

void QueuePair::WakeKernel() {
  WakeTx();
  if (socket_.fill.needs_wakeup()) {
    socket_.kernel->WakeRx();
    stats_.rx_wakeups.Add(1);
  }
}

void QueuePair::WakeTx() {
  for (uint32_t wakeups = 0; wakeups < kMaxTxWakeups; ++wakeups) {
    const uint32_t before = unsent();
    if (before == 0 || !socket_.tx.needs_wakeup()) {
      return;
    }
    socket_.kernel->WakeTx();
    stats_.tx_wakeups.Add(1);
    if (unsent() == before) {
      return;
    }
  }
}

void QueuePair::CloseAccounts() {
  uint32_t index;
  while (const uint32_t count = socket_.rx.Peek(kBurstFrames, &index)) {
    stats_.rx_packets.Add(count);
    stats_.CountDrops(DropReason::kLaneClosed, count);
    socket_.rx.Release(count);
  }
  stats_.CountDrops(DropReason::kLaneClosed, held_);
  held_ = 0;
  stats_.held.Set(0);
}

}  // namespace sluice
