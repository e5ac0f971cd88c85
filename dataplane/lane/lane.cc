#include "dataplane/lane/lane.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <utility>

#include "dataplane/io/ring_positions.h"
#include "dataplane/lane/partial_checksum.h"

namespace sluice {
namespace {

// Completions come without an event. Only the pool, which has a spare half, and the gauges wait for them; people read
// the gauges.
constexpr absl::Duration kSleepWhileHeld = absl::Milliseconds(10);
// The kernel refused frames for now (device or socket buffer full), and no event tells that it has room again. A full
// qdisc of 1,000 packets drains in about this time at 1 Gbit/s.
constexpr absl::Duration kSleepWhileUnsent = absl::Milliseconds(1);

// The worker's sleep has a granularity of milliseconds.
constexpr absl::Duration kShortestSleep = absl::Milliseconds(1);

}  // namespace

Lane::Lane(uint32_t index, Umem umem, std::vector<PortSocket> sockets, LaneStats& stats, AwakeClock::Source clock)
    : index_(index),
      umem_(std::move(umem)),
      stats_(stats),
      transit_(index, umem_, *this, stats, clock),
      kernel_path_(index, umem_, stats),
      services_(index, umem_, stats, clock) {
  const QueuePairLimits limits = QueuePairLimits::Of(umem_.layout(), static_cast<uint32_t>(sockets.size()));
  pairs_.reserve(sockets.size());
  for (PortSocket& one : sockets) {
    LanePortStats& port_stats = stats_.ports[one.port];
    StatsCounter& sent = is_bridge() ? port_stats.passed : port_stats.tx_packets;
    QueuePair& pair = pairs_.emplace_back(one.port, std::move(one.socket), umem_, port_stats, sent, limits);
    if (pair.can_transmit() && is_bridge()) {
      kernel_path_.SetWayOut(pair);
    } else if (pair.can_transmit()) {
      transmit_[one.port] = &pair;
    }
    pair.Replenish();
  }
  burst_.lane = index;
  stats_.free_frames.Set(umem_.free_frames());
  transit_.CatchUp();  // a predecessor may have died a while ago
}

// --- the packet path ---

uint32_t Lane::Poll(NetworkFunction& function) {
  uint32_t moved = ReclaimSentFrames() + kernel_path_.Reclaim() + kernel_path_.Accept();
  if (!transit_.idle()) {
    moved += transit_.Run();
  }
  services_.BeginRound();
  services_.SetRoom(transit_.RoomForOriginated());
  services_.ExpireDue(function);
  moved += TransmitServices();  // older than the frames to be received
  for (QueuePair& pair : pairs_) {
    if (transit_.MayReceive()) {
      moved += ReceiveFrom(pair, function);
    }
  }
  if (offloads()) {
    AcknowledgeSent();
  }
  WakeKernel();
  if (moved > 0) {
    stats_.free_frames.Set(umem_.free_frames());
  }
  return moved;
}

uint32_t Lane::ReclaimSentFrames() {
  uint32_t reclaimed = 0;
  for (QueuePair& pair : pairs_) {
    reclaimed += pair.Reclaim();
  }
  return reclaimed;
}

uint32_t Lane::TransmitOut() {
  Burst& out = services_.out();
  const uint32_t count = out.count;
  if (transit_.idle()) {
    Transmit(out);
  } else {
    out.HashOriginated();
    transit_.Transmit(out);
  }
  out.count = 0;
  return count;
}

uint32_t Lane::ReceiveFrom(QueuePair& pair, NetworkFunction& function) {
  pair.Receive(burst_);
  const uint32_t received = burst_.count;
  if (received > 0) {
    const bool flows_move = !transit_.idle();
    stats_.ports[pair.port()].checksums_completed.Add(ParseAndCompleteChecksums(burst_));
    flow_sampler_.Look(burst_, stats_);  // before the function rewrites frames
    if (flows_move) {
      transit_.NoteReceived(burst_);
      services_.SetRoom(transit_.RoomForOriginated());
    }
    const bool offloading = offloads();
    if (offloading) {
      offload_.Lookup(burst_);
    }
    function.Process(services_, burst_);
    if (offloading) {
      offload_.Store(burst_);
    }
    TransmitServices();
    if (flows_move) {
      transit_.Transmit(burst_);
    } else {
      Transmit(burst_);
    }
  }
  pair.Replenish();
  pair.PublishCredit();
  return received;
}

// Puts every frame on its port's transmit ring, or drops it: by its verdict, for want of a route, or because the ring
// took only the first frames.
FramesByPort Lane::Transmit(Burst& burst) {
  const Frame* leaving[kMaxPorts][kBurstFrames];
  uint32_t count[kMaxPorts] = {};
  for (const Frame& frame : burst) {
    if (!frame.verdict.transmits()) {
      Dispose(frame);
      continue;
    }
    const uint32_t port = frame.verdict.port();
    if (port >= kMaxPorts || transmit_[port] == nullptr) {
      Drop(frame, DropReason::kNoRoute);
      continue;
    }
    leaving[port][count[port]++] = &frame;
  }
  FramesByPort sent{};
  for (uint32_t port = 0; port < kMaxPorts; ++port) {
    if (count[port] == 0) {
      continue;
    }
    sent[port] = transmit_[port]->Transmit(leaving[port], count[port]);
    for (uint32_t i = sent[port]; i < count[port]; ++i) {
      Drop(*leaving[port][i], DropReason::kTxRingFull);
    }
  }
  kernel_path_.Flush();
  return sent;
}

void Lane::Dispose(const Frame& frame) {
  switch (frame.verdict.kind()) {
    case Verdict::Kind::kTransmit:
    case Verdict::Kind::kHold:
      return;
    case Verdict::Kind::kToKernel:
      kernel_path_.Take(frame);
      return;
    case Verdict::Kind::kDrop:
      stats_.ports[frame.in_port].drops[frame.verdict.drop_index()].Add(1);
      umem_.Give(frame.address);
  }
}

void Lane::Drop(const Frame& frame, DropReason reason) {
  stats_.ports[frame.in_port].CountDrops(reason);
  umem_.Give(frame.address);
}

// Takes the steps of lane_offload.h.
void Lane::AcknowledgeSent() {
  if (offload_.wants_snapshot()) {
    const RingPositions lost = LostByPair(pairs_);  // before the positions
    offload_.Begin(RxPositions(pairs_), lost);
  }
  while (offload_.to_receive() != nullptr && ReceivedUpTo(pairs_, *offload_.to_receive()) && transit_.empty()) {
    offload_.Received(TxPositions(pairs_));
  }
  while (offload_.to_send() != nullptr && SentUpTo(pairs_, *offload_.to_send())) {
    offload_.Sent();
  }
}

void Lane::WakeKernel() {
  for (QueuePair& pair : pairs_) {
    pair.WakeKernel();
  }
}

// --- the worker, before it sleeps ---

absl::Duration Lane::SleepBound() const {
  absl::Duration bound = transit_.SleepBound();
  if (const int64_t expires_in_ns = services_.ExpiresInNs(); expires_in_ns != NetworkFunction::kNever) {
    bound = std::min(bound, std::max(kShortestSleep, absl::Nanoseconds(expires_in_ns)));
  }
  if (kernel_path_.in_flight() > 0) {
    bound = std::min(bound, kSleepWhileHeld);
  }
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

// --- the rings, for the transit ---

uint32_t Lane::TransmitRoom(uint32_t port, uint32_t most) {
  return transmit_[port] == nullptr ? most : transmit_[port]->TransmitRoom(most);
}

bool Lane::HasTransmitRoom(uint32_t frames) {
  return std::all_of(std::begin(transmit_), std::end(transmit_),
                     [&](QueuePair* pair) { return pair == nullptr || pair->TransmitRoom(frames) == frames; });
}

bool Lane::AwaitsCompletions() const {
  return std::any_of(pairs_.begin(), pairs_.end(), [](const QueuePair& pair) { return pair.held() > 0; });
}

uint64_t Lane::ReceiveBacklog() const {
  return std::accumulate(pairs_.begin(), pairs_.end(), uint64_t{0},
                         [](uint64_t sum, const QueuePair& pair) { return sum + pair.waiting(); });
}

bool Lane::ReceiveRingNearlyFull() const {
  return std::any_of(pairs_.begin(), pairs_.end(), [](const QueuePair& pair) { return pair.nearly_full(); });
}

bool Lane::Quiescent() const {
  return transit_.empty() && kernel_path_.empty() && services_.held() == 0 && ReceiveBacklog() == 0 &&
         !AwaitsCompletions();
}

// --- between two rounds ---

void Lane::ShareCredit(std::vector<QueueCredit>& credit) {
  for (QueuePair& pair : pairs_) {
    pair.ShareCredit(credit[pair.port()], index_);
  }
}

void Lane::OffloadFlows(FlowTables* tables, uint32_t epoch) {
  LaneOffload::Pairs pairs = {
      .queue = index_, .count = static_cast<uint32_t>(pairs_.size()), .lost = LostByPair(pairs_)};
  std::transform(pairs_.begin(), pairs_.end(), pairs.ports.begin(), [](const QueuePair& pair) { return pair.port(); });
  offload_.Set(tables, epoch, pairs);
}

void Lane::QuarantineSentFrames(uint32_t port, uint32_t frames) {
  if (transmit_[port] != nullptr) {
    transmit_[port]->QuarantineSentFrames(frames);
  }
}

void Lane::ExpectSelfTest(const std::optional<SelfTestToken>& token) {
  for (QueuePair& pair : pairs_) {
    pair.ExpectSelfTest(token);
  }
}

void Lane::DrainInbox(uint32_t source) {
  while (transit_.AcceptAll(source) + kernel_path_.AcceptFrom(source) > 0) {
    ReclaimSentFrames();
    WakeKernel();
  }
  transit_.inbox().Attach(source, nullptr);
  kernel_path_.inbox().Attach(source, nullptr);
}

void Lane::CloseAccounts() {
  transit_.CloseAccounts();
  services_.CloseAccounts();
  ReclaimSentFrames();
  for (QueuePair& pair : pairs_) {
    pair.CloseAccounts();
  }
  stats_.free_frames.Set(0);
}

}  // namespace sluice
