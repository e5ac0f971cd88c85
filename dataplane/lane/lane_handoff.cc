// A Lane's dealings with other lanes: frames that leave by their queues, or by its own, and flows that move.
#include <algorithm>
#include <cstring>

#include "dataplane/lane/lane.h"

namespace sluice {
namespace {

// Longer than a device takes to make room, also an emulated one; so long a stuck port may stop the others.
constexpr int64_t kLongestWaitForRoomNs = 100'000'000;

}  // namespace

// Where all of it may go to one other lane, no more is taken than that lane's ring has room for: the receive ring is
// the better place to wait.
bool Lane::RoomToHandOff(uint32_t bursts) const {
  return handoff_lanes_ == 0 || outbox_.in_flight() + bursts * kBurstFrames <= kHandoffFrames;
}

// For a burst, perhaps with a probe for each frame, or behind one of frames that waited for it.
bool Lane::RoomForReceived() const {
  return RoomToHandOff(probe_ || reorder_hold_.waiting() > 0 ? 3 : 1);
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
  handed_in_waits_ = false;
  inbox_.ForEach([this, &accepted](uint32_t source, HandoffRing& ring) {
    const uint32_t count = AcceptFrom(source, ring, GivesUpOn(source));
    accepted += count;
    return count > 0 || ring.Peek(1) > 0;
  });
  return accepted;
}

bool Lane::GivesUpOn(uint32_t source) {
  return handed_in_waits_since_ns_[source] != 0 &&
         clock_.Now_ns() - handed_in_waits_since_ns_[source] >= kLongestWaitForRoomNs;
}

// At most a burst a round from each source, so that one of them cannot hold up the lane. What there is no room for
// waits in the ring, and through it where the source received it; with `all` it is dropped. Returns how many are gone
// from the ring.
uint32_t Lane::AcceptFrom(uint32_t source, HandoffRing& ring, bool all) {
  const uint32_t count = ring.Peek(kBurstFrames);
  if (count == 0) {
    handed_in_waits_since_ns_[source] = 0;
    return 0;
  }
  const int64_t now_ns = clock_.Now_ns();
  const bool moves_flows = source != kBridgeLane;
  uint32_t room[kMaxPorts];
  for (uint32_t port = 0; port < kMaxPorts; ++port) {
    room[port] = transmit_[port] == nullptr || all ? count : transmit_[port]->TransmitRoom(count);
  }
  // Frames on their way out come back by themselves. Those in other lanes' hands may not: they could wait for us.
  const bool frames_come_back =
      std::any_of(pairs_.begin(), pairs_.end(), [](const QueuePair& pair) { return pair.held() > 0; });
  burst_.lane = index_;
  burst_.count = 0;
  uint32_t accepted = 0;
  for (; accepted < count; ++accepted) {
    const HandoffFrame& theirs = ring.At(accepted);
    const bool no_frame = umem_.free_frames() == 0;
    if (!all && (no_frame ? frames_come_back : theirs.out_port < kMaxPorts && room[theirs.out_port]-- == 0)) {
      break;
    }
    if (moves_flows) {
      reorder_hold_.HandedIn(theirs.flow_hash, now_ns);
    }
    if (no_frame || theirs.length_bytes > umem_.layout().frame_size_bytes) {
      CountDrop(theirs.in_port, DropReason::kNoFrame);
      continue;
    }
    const uint64_t address = umem_.Take();
    uint8_t* data = umem_.Data(address);
    std::memcpy(data, theirs.data, theirs.length_bytes);
    burst_.frames[burst_.count++] = {data, address, theirs.length_bytes, theirs.in_port,
                                     Verdict::Transmit(theirs.out_port)};
  }
  if (accepted < count) {
    handed_in_waits_ = true;
    // Their flows are not quiet while they wait.
    for (uint32_t i = accepted; moves_flows && i < ring.Peek(kHandoffFrames); ++i) {
      reorder_hold_.HandedIn(ring.At(i).flow_hash, now_ns);
    }
  }
  ring.Release(accepted);
  const bool sent = Send(burst_, /*handed_in=*/true) > 0;
  int64_t& waits_since_ns = handed_in_waits_since_ns_[source];
  waits_since_ns = sent || (accepted == count && !all) ? 0 : waits_since_ns == 0 ? now_ns : waits_since_ns;
  return accepted;
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
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    const uint32_t hash = burst.headers[i].flow_hash;
    const uint32_t destination = hash % handoff_lanes_;
    if (destination == index_ || !probed_.Due(hash) || umem_.free_frames() == 0) {
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

void Lane::HandOff(Burst& burst) {
  const uint32_t before = outbox_.in_flight();
  uint32_t own = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    if (!frame.verdict.transmits()) {
      Drop(frame, frame.verdict.reason());
      continue;
    }
    const uint32_t hash = burst.headers[i].flow_hash;
    const uint32_t destination = hash % handoff_lanes_;
    if (destination == index_) {
      burst.Move(i, own++);
      continue;
    }
    const HandoffFrame handed = {frame.data, frame.address, frame.length_bytes,
                                 hash,       frame.in_port, static_cast<uint8_t>(frame.verdict.port())};
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

// Takes out those whose flows have just moved here (reorder_hold.h).
void Lane::HoldMovedFlows(Burst& burst) {
  if (reorder_hold_.room() < burst.count) {
    LetMovedFlowsGo(/*at_least=*/burst.count - reorder_hold_.room());
  }
  const int64_t now_ns = clock_.Now_ns();
  uint32_t in_turn = 0;
  for (uint32_t i = 0; i < burst.count; ++i) {
    const Frame& frame = burst.frames[i];
    const uint32_t hash = burst.headers[i].flow_hash;
    if (frame.verdict.transmits() && reorder_hold_.MustWait(hash, now_ns)) {
      reorder_hold_.Wait(frame, hash, now_ns);
    } else {
      burst.Move(i, in_turn++);
    }
  }
  stats_.fence_held.Add(burst.count - in_turn);
  burst.count = in_turn;
  GaugeHeld();
}

// Those whose time has come, a burst at most, and so many in any case.
uint32_t Lane::LetMovedFlowsGo(uint32_t at_least) {
  if (reorder_hold_.waiting() == 0 || (at_least == 0 && (handed_in_waits_ || !RoomToHandOff(1)))) {
    return 0;
  }
  const int64_t now_ns = clock_.Now_ns();
  waited_.lane = index_;
  waited_.count = 0;
  uint32_t unproven = 0;
  while (waited_.count < kBurstFrames) {
    const bool forced = waited_.count < at_least;
    const ReorderHold::Go go =
        reorder_hold_.Next(now_ns, forced, waited_.frames[waited_.count], waited_.headers[waited_.count].flow_hash);
    if (go == ReorderHold::Go::kNobody) {
      break;
    }
    ++waited_.count;
    unproven += go == ReorderHold::Go::kUnproven ? 1 : 0;
  }
  stats_.fence_unproven.Add(unproven);
  GaugeHeld();
  const uint32_t gone = waited_.count;
  Leave(waited_);
  return gone;
}

void Lane::DrainInbox(uint32_t source) {
  HandoffRing* ring = inbox_.ring(source);
  while (ring != nullptr && AcceptFrom(source, *ring, /*all=*/true) > 0) {
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

}  // namespace sluice
