#include "dataplane/lane/lane_transit.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "dataplane/lane/copy_in.h"

namespace sluice {
namespace {

// The longest time for which a port that sends nothing may block the others. Any device, an emulated one too, frees a
// slot sooner.
constexpr int64_t kLongestWaitForRoomNs = 100'000'000;
// A full receive ring, at a few thousand packets a second, the rate of an emulated device on a loaded machine.
constexpr int64_t kLongestCatchUpNs = 2'000'000'000;
// No event tells that another lane has copied our frames. Only the pool, which has a spare half, and the gauges wait
// for that; people read the gauges.
constexpr absl::Duration kSleepWhileHandedOff = absl::Milliseconds(10);
// While the lane does not receive, or flows move, no event tells that a receive ring fills up, that a transmit ring has
// room again, or that time is up; and the clock must be read often (awake_clock.h). With room for 256 more frames, a
// look every millisecond is soon enough up to 250,000 packets a second.
constexpr absl::Duration kSleepWhileFlowsMove = absl::Milliseconds(1);

}  // namespace

LaneTransit::LaneTransit(uint32_t lane, Umem& umem, LaneQueues& queues, LaneStats& stats, AwakeClock::Source clock)
    : lane_(lane), outbox_(lane), umem_(umem), queues_(queues), stats_(stats), clock_(clock) {
  burst_.lane = lane;
  stats_.handoff_held.Set(0);
}

uint32_t LaneTransit::Run() {
  uint32_t moved = ReclaimHandoffs();
  if (!reorder_hold_.idle()) {
    reorder_hold_.ForgetSettled(clock_.NowNs());
  }
  moved += AcceptHandoffs();
  moved += ReleaseMovedFlows(/*at_least=*/0);
  if (held_back_ && queues_.ReceiveRingNearlyFull()) {
    LetReceive(/*proven=*/true);
    ahead_of_fence_ = true;  // NoteReceived counts each frame as unproven, the waiting ones and those that follow
  }
  if (catches_up()) {
    LookAtBacklog();
  }
  return moved;
}

void LaneTransit::LookAtBacklog() {
  const int64_t now_ns = clock_.NowNs();
  if (RoomToCatchUp()) {
    backlog_waits_for_room_since_ns_ = 0;
  } else if (backlog_waits_for_room_since_ns_ == 0) {
    backlog_waits_for_room_since_ns_ = now_ns;
  }
  const bool no_port_sends =
      backlog_waits_for_room_since_ns_ != 0 && now_ns - backlog_waits_for_room_since_ns_ >= kLongestWaitForRoomNs;
  const bool is_over = !held_back_ && queues_.ReceiveBacklog() < kBurstFrames;
  if (is_over || no_port_sends || now_ns >= catch_up_until_ns_) {
    catch_up_until_ns_ = 0;
  }
}

void LaneTransit::NoteReceived(Burst& burst) {
  if (ahead_of_fence_) {
    stats_.fence_unproven.Add(burst.count);
  }
  if (handoff_lanes_ != 0 || !reorder_hold_.idle()) {
    burst.HashFlows();
  }
  if (handoff_lanes_ != 0 && probe_) {
    ProbeFlows(burst);
  }
}

void LaneTransit::Transmit(Burst& burst) {
  if (!reorder_hold_.idle()) {
    HoldMovedFlows(burst);
  }
  TransmitOrHandOff(burst);
}

absl::Duration LaneTransit::SleepBound() const {
  if (!MayReceive() || !reorder_hold_.idle()) {
    return kSleepWhileFlowsMove;
  }
  return outbox_.in_flight() > 0 ? kSleepWhileHandedOff : absl::InfiniteDuration();
}

void LaneTransit::LetReceive(bool proven) {
  ahead_of_fence_ = false;
  if (!std::exchange(held_back_, false)) {
    return;
  }
  const uint64_t waited = queues_.ReceiveBacklog();
  stats_.fence_held.Add(waited);
  stats_.fence_unproven.Add(proven ? 0 : waited);
  CatchUp();
}

void LaneTransit::CatchUp() {
  catch_up_until_ns_ = queues_.ReceiveBacklog() < kBurstFrames ? 0 : clock_.NowNs() + kLongestCatchUpNs;
  backlog_waits_for_room_since_ns_ = 0;
}

void LaneTransit::TransmitByHandoff(uint32_t lane_count, bool probe) {
  handoff_lanes_ = lane_count;
  probe_ = probe && lane_count > 0;
  probed_.Reset();
}

// --- frames that other lanes hand over ---

uint32_t LaneTransit::AcceptHandoffs() {
  uint32_t accepted = 0;
  handed_in_waits_ = false;
  inbox_.ForEach([this, &accepted](uint32_t source, HandoffRing& ring) {
    const uint32_t count = AcceptFrom(source, ring, GaveUpOn(source) ? WithoutRoom::kIsDropped : WithoutRoom::kWaits);
    accepted += count;
    return count > 0 || ring.Peek(1) > 0;
  });
  return accepted;
}

bool LaneTransit::GaveUpOn(uint32_t source) {
  const int64_t since_ns = waits_for_room_since_ns_[source];
  return since_ns != 0 && clock_.NowNs() - since_ns >= kLongestWaitForRoomNs;
}

// Takes at most a burst a round from each source, so that one source cannot hold up the lane. Returns how many frames
// left the ring.
uint32_t LaneTransit::AcceptFrom(uint32_t source, HandoffRing& ring, WithoutRoom without_room) {
  const uint32_t count = ring.Peek(kBurstFrames);
  if (count == 0) {
    waits_for_room_since_ns_[source] = 0;
    return 0;
  }
  const uint32_t accepted = without_room == WithoutRoom::kIsDropped ? count : CountWithRoom(ring, count);
  const bool some_wait = accepted < count;
  handed_in_waits_ = handed_in_waits_ || some_wait;
  // Flows are not quiet while frames of theirs wait in the ring.
  NoteMovingFlows(source, ring, some_wait ? ring.Peek(kHandoffFrames) : count);
  CopyInAll(ring, accepted);
  ring.Release(accepted);
  const bool makes_progress = TransmitHandedIn() > 0 || (!some_wait && without_room == WithoutRoom::kWaits);
  if (makes_progress) {
    waits_for_room_since_ns_[source] = 0;
  } else if (waits_for_room_since_ns_[source] == 0) {
    waits_for_room_since_ns_[source] = clock_.NowNs();
  }
  return accepted;
}

// Counts the ring's first frames, up to one that has to wait: for room on its transmit ring, or for a frame to copy it
// into. Frames that we sent come back by themselves; without any, those in other lanes' hands might wait for us, so
// then a frame does not wait for the pool, and CopyIn (copy_in.h) drops it.
uint32_t LaneTransit::CountWithRoom(const HandoffRing& ring, uint32_t count) {
  FramesByPort room;
  for (uint32_t port = 0; port < kMaxPorts; ++port) {
    room[port] = queues_.TransmitRoom(port, count);
  }
  uint32_t free_frames = umem_.free_frames();
  const bool pool_refills = queues_.AwaitsCompletions();
  uint32_t with_room = 0;
  for (; with_room < count; ++with_room) {
    const HandoffFrame& frame = ring.At(with_room);
    if (free_frames == 0) {
      if (pool_refills) {
        break;
      }
      continue;
    }
    if (frame.out_port < kMaxPorts && room[frame.out_port]-- == 0) {
      break;
    }
    free_frames -= frame.length_bytes <= umem_.layout().frame_size_bytes ? 1 : 0;
  }
  return with_room;
}

// Packets of these flows will soon be received here (reorder_hold.h).
void LaneTransit::NoteMovingFlows(uint32_t source, const HandoffRing& ring, uint32_t count) {
  if (source == kBridgeLane) {
    return;
  }
  const int64_t now_ns = clock_.NowNs();
  for (uint32_t i = 0; i < count; ++i) {
    reorder_hold_.NoteHandedIn(ring.At(i).flow_hash, now_ns);
  }
}

// Copies the ring's first `count` frames into burst_, but those that CopyIn drops.
void LaneTransit::CopyInAll(const HandoffRing& ring, uint32_t count) {
  burst_.count = 0;
  for (uint32_t i = 0; i < count; ++i) {
    const HandoffFrame& theirs = ring.At(i);
    if (const auto frame = CopyIn(theirs, Verdict::Transmit(theirs.out_port), umem_, stats_); frame.has_value()) {
      burst_.frames[burst_.count++] = *frame;
    }
  }
}

uint32_t LaneTransit::TransmitHandedIn() {
  const FramesByPort sent = queues_.Transmit(burst_);
  for (uint32_t port = 0; port < kMaxPorts; ++port) {
    if (sent[port] > 0) {
      stats_.ports[port].handoff_in.Add(sent[port]);
    }
  }
  return std::accumulate(sent.begin(), sent.end(), 0U);
}

uint32_t LaneTransit::AcceptAll(uint32_t source) {
  HandoffRing* ring = inbox_.ring(source);
  return ring == nullptr ? 0 : AcceptFrom(source, *ring, WithoutRoom::kIsDropped);
}

// --- flows that have just moved here ---

// Takes frames out of the burst whose flows have just moved here (reorder_hold.h).
void LaneTransit::HoldMovedFlows(Burst& burst) {
  if (reorder_hold_.room() < burst.count) {
    ReleaseMovedFlows(/*at_least=*/burst.count - reorder_hold_.room());
  }
  const int64_t now_ns = clock_.NowNs();
  uint32_t in_turn = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    const uint32_t hash = burst.headers[i].flow_hash;
    if (frame.verdict.transmits() && reorder_hold_.MustWait(hash, now_ns)) {
      reorder_hold_.Hold(frame, hash, now_ns);
    } else {
      burst.Move(i, in_turn++);
    }
  }
  stats_.fence_held.Add(burst.count - in_turn);
  burst.count = in_turn;
  GaugeHeld();
}

// Releases held frames that are due, at most a burst, when all of them have room; at least `at_least` in any case.
uint32_t LaneTransit::ReleaseMovedFlows(uint32_t at_least) {
  if (reorder_hold_.held() == 0) {
    return 0;
  }
  const bool has_room = !handed_in_waits_ && RoomToHandOff(1) && queues_.HasTransmitRoom(kBurstFrames);
  if (at_least == 0 && !has_room) {
    return 0;
  }
  const int64_t now_ns = clock_.NowNs();
  burst_.count = 0;
  uint32_t unproven = 0;
  while (burst_.count < kBurstFrames) {
    const bool forced = burst_.count < at_least;
    const ReorderHold::Released released =
        reorder_hold_.ReleaseNext(now_ns, forced, burst_.frames[burst_.count], burst_.headers[burst_.count].flow_hash);
    if (released == ReorderHold::Released::kNone) {
      break;
    }
    ++burst_.count;
    unproven += released == ReorderHold::Released::kUnproven ? 1 : 0;
  }
  stats_.fence_unproven.Add(unproven);
  GaugeHeld();
  const uint32_t released = burst_.count;
  TransmitOrHandOff(burst_);
  return released;
}

// --- frames that leave by other lanes ---

void LaneTransit::TransmitOrHandOff(Burst& burst) {
  if (handoff_lanes_ == 0) {
    queues_.Transmit(burst);
  } else {
    HandOff(burst);
  }
}

void LaneTransit::HandOff(Burst& burst) {
  const uint32_t before = outbox_.in_flight();
  uint32_t own = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    if (!frame.verdict.transmits()) {
      queues_.Dispose(frame);
      continue;
    }
    const uint32_t hash = burst.headers[i].flow_hash;
    const uint32_t destination = hash % handoff_lanes_;
    if (destination == lane_) {
      burst.Move(i, own++);
      continue;
    }
    const HandoffFrame handed = {frame.data, frame.address, frame.length_bytes,
                                 hash,       frame.in_port, static_cast<uint8_t>(frame.verdict.port())};
    switch (outbox_.Push(destination, handed)) {
      case HandoffOutbox::Outcome::kPushed:
        break;
      case HandoffOutbox::Outcome::kFull:
        queues_.Drop(frame, DropReason::kHandoffFull);
        break;
      case HandoffOutbox::Outcome::kNoRoute:
        queues_.Drop(frame, DropReason::kNoRoute);
        break;
    }
  }
  stats_.handoff_out.Add(outbox_.in_flight() - before);
  GaugeHeld();
  outbox_.Flush();
  burst.count = own;
  queues_.Transmit(burst);
}

// Hands over a probe for each flow that is due for one. The burst's own hand-offs publish it. Without a free frame, or
// room in the ring, there is no probe.
void LaneTransit::ProbeFlows(const Burst& burst) {
  uint32_t probes = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    const uint32_t hash = burst.headers[i].flow_hash;
    const uint32_t destination = hash % handoff_lanes_;
    if (destination == lane_ || !probed_.Due(hash) || umem_.free_frames() == 0) {
      continue;
    }
    const uint64_t address = umem_.Take();
    const uint32_t length_bytes =
        MakeSteeringProbe(frame.data, frame.length_bytes, burst.headers[i], umem_.Data(address));
    const HandoffFrame handed = {umem_.Data(address), address, length_bytes, hash, frame.in_port, frame.in_port};
    if (length_bytes == 0 || outbox_.Push(destination, handed) != HandoffOutbox::Outcome::kPushed) {
      umem_.Give(address);
      continue;
    }
    stats_.ports[frame.in_port].originated.Add(1);
    ++probes;
  }
  stats_.handoff_out.Add(probes);
}

uint32_t LaneTransit::ReclaimHandoffs() {
  if (outbox_.in_flight() == 0) {
    return 0;
  }
  const uint32_t reclaimed = outbox_.Reclaim([this](uint64_t address) { umem_.Give(address); });
  GaugeHeld();
  return reclaimed;
}

void LaneTransit::ForgetDestination(uint32_t destination) {
  ReclaimHandoffs();
  outbox_.Detach(destination);
}

void LaneTransit::CloseAccounts() {
  while (reorder_hold_.held() > 0) {
    Frame frame;
    uint32_t flow_hash;
    reorder_hold_.ReleaseNext(0, /*forced=*/true, frame, flow_hash);
    queues_.Drop(frame, DropReason::kLaneClosed);
  }
  GaugeHeld();
}

}  // namespace sluice
