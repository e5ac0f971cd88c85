#include "dataplane/lane.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

#include "dataplane/flow_hash.h"

namespace sluice {
namespace {

// Completions and copied hand-offs come without an event. Nothing waits for them but the pool, which
// has a spare half, and the gauges, which people read: a hundredth of a second is soon enough.
constexpr absl::Duration kSleepWhileHeld = absl::Milliseconds(10);
// Frames that the kernel refused to take for now (device or socket buffer full). It tells nobody when
// there is room again, so we ask: about as often as a full 1,000-packet qdisc at 1 Gbit/s drains.
constexpr absl::Duration kSleepWhileUnsent = absl::Milliseconds(1);
// While it is held back, or flows wait that move, nothing wakes the worker when a receive ring fills up or time is up:
// at 256 frames of room left, looking so often is soon enough up to a quarter of a million packets a second.
constexpr absl::Duration kSleepWhileHeldBack = absl::Milliseconds(1);

}  // namespace

int64_t Lane::SteadyClock() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

Lane::Lane(uint32_t index, Umem umem, std::vector<PortSocket> sockets, LaneStats& stats, Clock now_ns)
    : index_(index), now_ns_(now_ns), umem_(std::move(umem)), stats_(stats), outbox_(index) {
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
  moved += AcceptHandoffs();
  moved += LetMovedFlowsGo(/*at_least=*/0);
  if (held_back_) {
    WatchRings();
  } else {
    moved += ReceiveAndProcess(function);
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
    // A burst, perhaps with a probe for each frame, or behind one of frames that waited for it.
    if (!RoomToHandOff(probe_ || moved_flows_.waiting() > 0 ? 3 : 1)) {
      break;
    }
    pair.Receive(burst_);
    if (burst_.count > 0) {
      burst_.lane = index_;
      received += burst_.count;
      stats_.fence_unproven.Add(ahead_of_fence_ ? burst_.count : 0);
      if (probe_) {
        ProbeFlows(burst_);
      }
      function.Process(burst_);
      Dispatch(burst_);
    }
    pair.Replenish();
  }
  return received;
}

// Where all of it may go to one other lane, no more is taken than that lane's ring has room for: the receive ring is
// the better place to wait.
bool Lane::RoomToHandOff(uint32_t bursts) const {
  return handoff_lanes_ == 0 || outbox_.in_flight() + bursts * kBurstFrames <= kHandoffFrames;
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

uint32_t Lane::ReclaimHandoffs() {
  if (outbox_.in_flight() == 0) {
    return 0;
  }
  const uint32_t reclaimed = outbox_.Reclaim([this](uint64_t address) { umem_.Give(address); });
  GaugeHeld();
  return reclaimed;
}

uint32_t Lane::AcceptHandoffs() {
  uint32_t accepted = 0;
  inbox_.ForEach([this, &accepted](uint32_t source, HandoffRing& ring) {
    const uint32_t count = AcceptFrom(source, ring);
    accepted += count;
    return count > 0;
  });
  return accepted;
}

// At most a burst a round from each source, so that one of them cannot hold up the lane.
uint32_t Lane::AcceptFrom(uint32_t source, HandoffRing& ring) {
  const uint32_t count = ring.Peek(kBurstFrames);
  const bool moves_flows = source != kBridgeLane;
  const int64_t now_ns = moves_flows ? now_ns_() : 0;
  burst_.lane = index_;
  burst_.count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const HandoffFrame& theirs = ring.At(i);
    if (moves_flows) {
      moved_flows_.HandedIn(FlowHash(theirs.data, theirs.length_bytes), now_ns);
    }
    if (umem_.free_frames() == 0 || theirs.length_bytes > umem_.layout().frame_size_bytes) {
      CountDrop(theirs.in_port, DropReason::kNoFrame);
      continue;
    }
    const uint64_t address = umem_.Take();
    uint8_t* data = umem_.Data(address);
    std::memcpy(data, theirs.data, theirs.length_bytes);
    burst_.frames[burst_.count++] = {data, address, theirs.length_bytes, theirs.in_port,
                                     Verdict::Transmit(theirs.out_port)};
  }
  ring.Release(count);
  Send(burst_, /*handed_in=*/true);
  return count;
}

void Lane::ParkSentFrames(uint32_t port, uint32_t frames) {
  if (transmit_[port] != nullptr) {
    transmit_[port]->ParkSentFrames(frames);
  }
}

void Lane::TransmitByHandoff(uint32_t lane_count, bool probe) {
  handoff_lanes_ = lane_count;
  probe_ = probe && lane_count > 0;
  probed_.Reset();
}

// Before the function touches them: the device knows flows by what it received. The probes go out with the burst's
// own hand-offs; one that finds no frame or no room is not sent.
void Lane::ProbeFlows(const Burst& burst) {
  uint32_t probes = 0;
  for (const Frame& frame : burst) {
    const uint32_t hash = FlowHash(frame.data, frame.length_bytes);
    const uint32_t destination = hash % handoff_lanes_;
    if (destination == index_ || !probed_.Due(hash) || umem_.free_frames() == 0) {
      continue;
    }
    const uint64_t address = umem_.Take();
    const uint32_t length_bytes = MakeSteeringProbe(frame.data, frame.length_bytes, umem_.Data(address));
    const HandoffFrame handed = {umem_.Data(address), address, length_bytes, frame.in_port, frame.in_port};
    if (length_bytes == 0 || outbox_.Push(destination, handed) != HandoffOutbox::Outcome::kPushed) {
      umem_.Give(address);
      continue;
    }
    stats_.ports[frame.in_port].originated.Add(1);
    ++probes;
  }
  stats_.handoff_out.Add(probes);
}

void Lane::Dispatch(Burst& burst) {
  if (!moved_flows_.idle()) {
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
// because the ring took only the first of them.
void Lane::Send(Burst& burst, bool handed_in) {
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
    if (handed_in) {
      stats_.ports[port].handoff_in.Add(sent);
    }
    for (uint32_t i = sent; i < count[port]; ++i) {
      Drop(*leaving[port][i], DropReason::kTxRingFull);
    }
  }
}

void Lane::HandOff(Burst& burst) {
  const uint32_t before = outbox_.in_flight();
  uint32_t own = 0;
  for (const Frame& frame : burst) {
    if (!frame.verdict.transmits()) {
      Drop(frame, frame.verdict.reason());
      continue;
    }
    const uint32_t destination = FlowHash(frame.data, frame.length_bytes) % handoff_lanes_;
    if (destination == index_) {
      burst.frames[own++] = frame;
      continue;
    }
    const HandoffFrame handed = {frame.data, frame.address, frame.length_bytes, frame.in_port,
                                 static_cast<uint8_t>(frame.verdict.port())};
    switch (outbox_.Push(destination, handed)) {
      case HandoffOutbox::Outcome::kPushed:
        break;
      case HandoffOutbox::Outcome::kFull:
        Drop(frame, DropReason::kHandoffFull);
        break;
      case HandoffOutbox::Outcome::kNoRoute:
        Drop(frame, DropReason::kNoRoute);
        break;
    }
  }
  stats_.handoff_out.Add(outbox_.in_flight() - before);
  GaugeHeld();
  outbox_.Flush();
  burst.count = own;
  Send(burst, /*handed_in=*/false);
}

// Takes out those whose flows have just moved here (moved_flows.h).
void Lane::HoldMovedFlows(Burst& burst) {
  if (moved_flows_.room() < burst.count) {
    LetMovedFlowsGo(/*at_least=*/burst.count - moved_flows_.room());
  }
  const int64_t now_ns = now_ns_();
  moved_flows_.Forget(now_ns);
  uint32_t in_turn = 0;
  for (const Frame& frame : burst) {
    const uint32_t hash = FlowHash(frame.data, frame.length_bytes);
    if (frame.verdict.transmits() && moved_flows_.MustWait(hash, now_ns)) {
      moved_flows_.Wait(frame, hash, now_ns);
    } else {
      burst.frames[in_turn++] = frame;
    }
  }
  stats_.fence_held.Add(burst.count - in_turn);
  burst.count = in_turn;
  GaugeHeld();
}

// Those whose time has come, a burst at most, and so many in any case.
uint32_t Lane::LetMovedFlowsGo(uint32_t at_least) {
  if (moved_flows_.waiting() == 0 || (at_least == 0 && !RoomToHandOff(1))) {
    return 0;
  }
  const int64_t now_ns = now_ns_();
  waited_.lane = index_;
  waited_.count = 0;
  uint32_t unproven = 0;
  while (waited_.count < kBurstFrames) {
    const bool forced = waited_.count < at_least;
    const MovedFlows::Go go = moved_flows_.Next(now_ns, forced, waited_.frames[waited_.count]);
    if (go == MovedFlows::Go::kNobody) {
      break;
    }
    ++waited_.count;
    unproven += go == MovedFlows::Go::kUnproven ? 1 : 0;
  }
  stats_.fence_unproven.Add(unproven);
  GaugeHeld();
  const uint32_t gone = waited_.count;
  Leave(waited_);
  return gone;
}

void Lane::GaugeHeld() {
  stats_.handoff_held.Set(outbox_.in_flight() + moved_flows_.waiting());
}

void Lane::Drop(const Frame& frame, DropReason reason) {
  CountDrop(frame.in_port, reason);
  umem_.Give(frame.address);
}

void Lane::CountDrop(uint32_t in_port, DropReason reason) {
  stats_.ports[in_port].drops[static_cast<uint32_t>(reason)].Add(1);
}

absl::Duration Lane::SleepBound() const {
  absl::Duration bound = held_back_ || moved_flows_.waiting() > 0 ? kSleepWhileHeldBack
                         : outbox_.in_flight() > 0                ? kSleepWhileHeld
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

RingMarks Lane::rx_marks() const {
  RingMarks marks{};
  std::transform(pairs_.begin(), pairs_.end(), marks.begin(), [](const QueuePair& pair) { return pair.rx_mark(); });
  return marks;
}

bool Lane::ReceivedUpTo(const RingMarks& marks) const {
  return std::equal(pairs_.begin(), pairs_.end(), marks.begin(),
                    [](const QueuePair& pair, uint32_t mark) { return pair.ReceivedUpTo(mark); });
}

RingMarks Lane::tx_marks() const {
  RingMarks marks{};
  std::transform(pairs_.begin(), pairs_.end(), marks.begin(), [](const QueuePair& pair) { return pair.tx_mark(); });
  return marks;
}

bool Lane::SentUpTo(const RingMarks& marks) const {
  return std::equal(pairs_.begin(), pairs_.end(), marks.begin(),
                    [](const QueuePair& pair, uint32_t mark) { return pair.SentUpTo(mark); });
}

void Lane::DrainInbox(uint32_t source) {
  HandoffRing* ring = inbox_.ring(source);
  while (ring != nullptr && AcceptFrom(source, *ring) > 0) {
    for (QueuePair& pair : pairs_) {
      pair.Reclaim();
      pair.Wake();
    }
  }
  inbox_.Attach(source, nullptr);
}

void Lane::ForgetDestination(uint32_t destination) {
  ReclaimHandoffs();
  outbox_.Detach(destination);
}

void Lane::CloseAccounts() {
  while (moved_flows_.waiting() > 0) {
    Frame frame;
    moved_flows_.Next(0, /*forced=*/true, frame);
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
