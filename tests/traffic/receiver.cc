#include "tests/traffic/receiver.h"

#include <utility>

#include "tests/traffic/stamp.h"

namespace sluice::flowgen {
namespace {

constexpr int kWaitMs = 20;  // the longest time until `stop` is noticed

}  // namespace

Receiver::Receiver(PacketRing ring, const ReceivePlan& plan)
    : ring_(std::move(ring)), plan_(plan), ledger_(plan.flows, plan.start_ns, plan.interval_ns) {}

void Receiver::Run(const std::atomic<bool>& stop) {
  ring_.TakeDrops();  // drops from before the run do not count
  while (!stop.load(std::memory_order_relaxed)) {
    Drain();
    ring_.Wait(kWaitMs);
  }
  Drain();
  totals_.dropped += ring_.TakeDrops();
}

void Receiver::Drain() {
  while (const std::optional<ReceivedFrame> frame = ring_.Next()) {
    Account(*frame);
    ring_.Release();
  }
}

void Receiver::Account(const ReceivedFrame& frame) {
  const std::optional<ParsedFrame> parsed = ParseFrame(frame.bytes);
  Stamp stamp;
  const StampState state = parsed ? ReadStamp(parsed->payload, stamp) : StampState::kForeign;
  if (state == StampState::kForeign || stamp.run != plan_.run) {
    ++totals_.foreign;
    return;
  }
  if (state == StampState::kCorrupted) {
    ++totals_.corrupted;
    return;
  }
  if (stamp.direction != plan_.direction) {
    ++totals_.misdirected;
    return;
  }
  totals_.bad_checksum += parsed->checksums_good ? 0 : 1;
  totals_.bad_vlan += (frame.vlan ? frame.vlan : parsed->vlan) == plan_.vlan ? 0 : 1;
  totals_.macs_swapped += parsed->src_mac == plan_.dst_mac && parsed->dst_mac == plan_.src_mac ? 1 : 0;
  totals_.macs_unchanged += parsed->src_mac == plan_.src_mac && parsed->dst_mac == plan_.dst_mac ? 1 : 0;
  ledger_.Record({.flow = stamp.flow,
                  .sequence = stamp.sequence,
                  .receive_ns = frame.receive_ns,
                  .latency_ns = AgeNs(stamp, frame.receive_ns),
                  .spacing_ns = stamp.spacing_ns});
}

}  // namespace sluice::flowgen
