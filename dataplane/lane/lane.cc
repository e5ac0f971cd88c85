#include "dataplane/lane/lane.h"

#include <algorithm>
#include <utility>

#include "dataplane/lane/partial_checksum.h"

namespace sluice {
namespace {

// Completions and copied hand-offs come without an event. Nothing waits for them but the pool, which
// has a spare half, and the gauges, which people read: a hundredth of a second is soon enough.
constexpr absl::Duration kSleepWhileHeld = absl::Milliseconds(10);
// Frames that the kernel refused to take for now (device or socket buffer full). It tells nobody when
// there is room again, so we ask: about as often as a full 1,000-packet qdisc at 1 Gbit/s drains.
constexpr absl::Duration kSleepWhileUnsent = absl::Milliseconds(1);
// While it does not receive, or flows move, nothing wakes the worker when a receive ring fills up, a transmit ring has
// room again or time is up (and the clock of the latter must be looked at: awake_clock.h). At 256 frames of room left,
// looking so often is soon enough up to a quarter of a million packets a second.
constexpr absl::Duration kSleepWhileHeldBack = absl::Milliseconds(1);

}  // namespace

Lane::Lane(uint32_t index, Umem umem, std::vector<PortSocket> sockets, LaneStats& stats, AwakeClock::Source clock)
    : index_(index), clock_(clock), umem_(std::move(umem)), stats_(stats), outbox_(index) {
  const QueuePairLimits limits = QueuePairLimits::Of(umem_.layout(), static_cast<uint32_t>(sockets.size()));
  pairs_.reserve(sockets.size());
  for (PortSocket& one : sockets) {
    QueuePair& pair = pairs_.emplace_back(one.port, std::move(one.socket), umem_, stats_.ports[one.port], limits);
    if (pair.can_transmit()) {
      transmit_[one.port] = &pair;
    }
  }
  stats_.handoff_held.Set(0);
  for (QueuePair& pair : pairs_) {
    pair.Replenish();
  }
  stats_.free_frames.Set(umem_.free_frames());
}

uint32_t Lane::Poll(NetworkFunction& function) {
  uint32_t moved = ReclaimHandoffs();
  for (QueuePair& pair : pairs_) {
    moved += pair.Reclaim();
  }
  if (!reorder_hold_.idle()) {
    reorder_hold_.Forget(clock_.Now_ns());
  }
  moved += AcceptHandoffs();
  moved += LetMovedFlowsGo(/*at_least=*/0);
  if (held_back_) {
    WatchRings();
  } else if (receives()) {
    moved += ReceiveAndProcess(function);
  }
  if (offload_.on() && handoff_lanes_ == 0) {
    AcknowledgeSent();
  }
  for (QueuePair& pair : pairs_) {
    pair.Wake();
  }
  if (moved > 0) {
    stats_.free_frames.Set(umem_.free_frames());
  }
  return moved;
}

uint32_t Lane::ReceiveAndProcess(NetworkFunction& function) {
  uint32_t received = 0;
  for (QueuePair& pair : pairs_) {
    if (!RoomForReceived()) {
      break;
    }
    pair.Receive(burst_);
    if (burst_.count > 0) {
      burst_.lane = index_;
      received += burst_.count;
      stats_.ports[pair.port()].checksums_completed.Add(ParseAndCompleteChecksums(burst_));
      stats_.fence_unproven.Add(ahead_of_fence_ ? burst_.count : 0);
      if (handoff_lanes_ != 0 || !reorder_hold_.idle()) {
        burst_.HashFlows();
        if (probe_) {
          ProbeFlows(burst_);
        }
      }
      Process(function);
      Dispatch(burst_);
    }
    pair.Replenish();
    pair.PublishCredit();
  }
  return received;
}

void Lane::Process(NetworkFunction& function) {
  if (!offload_.on() || handoff_lanes_ != 0) {
    function.Process(burst_);
    return;
  }
  offload_.Lookup(burst_);
  function.Process(burst_);
  offload_.Store(burst_);
}

// lane_offload.h has the steps. What another lane has in hand is not sent.
void Lane::AcknowledgeSent() {
  if (offload_.wants_snapshot()) {
    const RingPositions lost = LostByPair();  // before the positions
    offload_.Begin(rx_positions(), lost);
  }
  while (offload_.to_receive() != nullptr && ReceivedUpTo(*offload_.to_receive()) && NoHandoffs()) {
    offload_.Received(tx_positions());
  }
  while (offload_.to_send() != nullptr && SentUpTo(*offload_.to_send())) {
    offload_.Sent();
  }
}

void Lane::ShareCredit(std::vector<QueueCredit>& credit) {
  for (QueuePair& pair : pairs_) {
    pair.ShareCredit(credit[pair.port()], index_);
  }
}

void Lane::OffloadFlows(FlowTables* tables, uint32_t epoch) {
  LaneOffload::Pairs pairs = {.queue = index_, .count = static_cast<uint32_t>(pairs_.size()), .lost = LostByPair()};
  std::transform(pairs_.begin(), pairs_.end(), pairs.ports.begin(), [](const QueuePair& pair) { return pair.port(); });
  offload_.Set(tables, epoch, pairs);
}

RingPositions Lane::LostByPair() const {
  RingPositions lost{};
  std::transform(pairs_.begin(), pairs_.end(), lost.begin(), [](const QueuePair& pair) { return pair.lost(); });
  return lost;
}

void Lane::WatchRings() {
  if (std::any_of(pairs_.begin(), pairs_.end(), [](const QueuePair& pair) { return pair.nearly_full(); })) {
    LetReceive(/*proven=*/true);
    ahead_of_fence_ = true;  // what waited and what follows is counted as it is received
  }
}

void Lane::LetReceive(bool proven) {
  ahead_of_fence_ = false;
  if (!std::exchange(held_back_, false)) {
    return;
  }
  uint64_t waited = 0;
  for (const QueuePair& pair : pairs_) {
    waited += pair.waiting();
  }
  stats_.fence_held.Add(waited);
  stats_.fence_unproven.Add(proven ? 0 : waited);
}

void Lane::QuarantineSentFrames(uint32_t port, uint32_t frames) {
  if (transmit_[port] != nullptr) {
    transmit_[port]->QuarantineSentFrames(frames);
  }
}

void Lane::Dispatch(Burst& burst) {
  if (!reorder_hold_.idle()) {
    HoldMovedFlows(burst);
  }
  Leave(burst);
}

void Lane::Leave(Burst& burst) {
  if (handoff_lanes_ == 0) {
    Send(burst, /*handed_in=*/false);
  } else {
    HandOff(burst);
  }
}

// Every frame goes onto its port's transmit ring, or is dropped: by its verdict, for want of a route, or
// because the ring took only the first of them. Returns how many went.
uint32_t Lane::Send(Burst& burst, bool handed_in) {
  uint32_t sent_by_all = 0;
  const Frame* leaving[kMaxPorts][kBurstFrames];
  uint32_t count[kMaxPorts] = {};
  for (const Frame& frame : burst) {
    if (!frame.verdict.transmits()) {
      Drop(frame, frame.verdict.reason());
      continue;
    }
    const uint32_t port = frame.verdict.port();
    if (port >= kMaxPorts || transmit_[port] == nullptr) {
      Drop(frame, DropReason::kNoRoute);
      continue;
    }
    leaving[port][count[port]++] = &frame;
  }
  for (uint32_t port = 0; port < kMaxPorts; ++port) {
    if (count[port] == 0) {
      continue;
    }
    const uint32_t sent = transmit_[port]->Transmit(leaving[port], count[port]);
    sent_by_all += sent;
    if (handed_in) {
      stats_.ports[port].handoff_in.Add(sent);
    }
    for (uint32_t i = sent; i < count[port]; ++i) {
      Drop(*leaving[port][i], DropReason::kTxRingFull);
    }
  }
  return sent_by_all;
}

void Lane::GaugeHeld() {
  stats_.handoff_held.Set(outbox_.in_flight() + reorder_hold_.waiting());
}

void Lane::Drop(const Frame& frame, DropReason reason) {
  CountDrop(frame.in_port, reason);
  umem_.Give(frame.address);
}

void Lane::CountDrop(uint32_t in_port, DropReason reason) {
  stats_.ports[in_port].drops[static_cast<uint32_t>(reason)].Add(1);
}

absl::Duration Lane::SleepBound() const {
  absl::Duration bound = !receives() || !reorder_hold_.idle() ? kSleepWhileHeldBack
                         : outbox_.in_flight() > 0            ? kSleepWhileHeld
                                                              : absl::InfiniteDuration();
  for (const QueuePair& pair : pairs_) {
    if (pair.unsent() > 0) {
      return kSleepWhileUnsent;
    }
    if (pair.held() > 0) {
      bound = std::min(bound, kSleepWhileHeld);
    }
  }
  return bound;
}

bool Lane::Quiescent() const {
  return NoHandoffs() && std::all_of(pairs_.begin(), pairs_.end(),
                                     [](const QueuePair& pair) { return pair.rx_empty() && pair.held() == 0; });
}

RingPositions Lane::rx_positions() const {
  RingPositions positions{};
  std::transform(pairs_.begin(), pairs_.end(), positions.begin(),
                 [](const QueuePair& pair) { return pair.rx_position(); });
  return positions;
}

bool Lane::ReceivedUpTo(const RingPositions& positions) const {
  return std::equal(pairs_.begin(), pairs_.end(), positions.begin(),
                    [](const QueuePair& pair, uint32_t position) { return pair.ReceivedUpTo(position); });
}

RingPositions Lane::tx_positions() const {
  RingPositions positions{};
  std::transform(pairs_.begin(), pairs_.end(), positions.begin(),
                 [](const QueuePair& pair) { return pair.tx_position(); });
  return positions;
}

bool Lane::SentUpTo(const RingPositions& positions) const {
  return std::equal(pairs_.begin(), pairs_.end(), positions.begin(),
                    [](const QueuePair& pair, uint32_t position) { return pair.SentUpTo(position); });
}

void Lane::CloseAccounts() {
  while (reorder_hold_.waiting() > 0) {
    Frame frame;
    uint32_t flow_hash;
    reorder_hold_.Next(0, /*forced=*/true, frame, flow_hash);
    Drop(frame, DropReason::kLaneClosed);
  }
  GaugeHeld();
  for (QueuePair& pair : pairs_) {
    pair.Reclaim();
    pair.CloseAccounts();
  }
  stats_.free_frames.Set(0);
}

}  // namespace sluice
