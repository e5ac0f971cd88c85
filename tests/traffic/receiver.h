// Reads one interface's ring and enters what comes into the ledger of the direction that ends there.
//
// Threads: Run() in one; ledger().received() and the like from any; the rest after Run() is over.
#ifndef SLUICE_TESTS_TRAFFIC_RECEIVER_H_
#define SLUICE_TESTS_TRAFFIC_RECEIVER_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>

#include "tests/traffic/frame.h"
#include "tests/traffic/ledger.h"
#include "tests/traffic/packet_ring.h"

namespace sluice::flowgen {

struct ReceivePlan {
  uint16_t run = 0;
  uint8_t direction = 0;
  uint32_t flows = 1;
  MacAddress src_mac{};  // as sent
  MacAddress dst_mac{};
  std::optional<uint16_t> vlan;
  int64_t start_ns = 0;
  int64_t interval_ns = 0;
};

// What is seen in packets beside flow and sequence.
struct ReceiveTotals {
  uint64_t foreign = 0;       // not of this run, though the magic is there
  uint64_t corrupted = 0;     // ours, but the stamp's checksum does not match; not received, so also lost
  uint64_t misdirected = 0;   // of the other direction: came back where it was sent
  uint64_t bad_checksum = 0;  // IPv4 or UDP checksum wrong, stamp intact
  uint64_t bad_vlan = 0;      // not the tag that was sent
  uint64_t macs_swapped = 0;
  uint64_t macs_unchanged = 0;
  uint64_t dropped = 0;  // by the kernel, because our own ring was full: not the device's fault
};

class Receiver {
 public:
  Receiver(PacketRing ring, const ReceivePlan& plan);

  // Until `stop`, then once more through what is in the ring.
  void Run(const std::atomic<bool>& stop);

  Ledger& ledger() { return ledger_; }
  const Ledger& ledger() const { return ledger_; }
  const ReceiveTotals& totals() const { return totals_; }

 private:
  void Drain();
  void Account(const ReceivedFrame& frame);

  PacketRing ring_;
  const ReceivePlan plan_;
  Ledger ledger_;
  ReceiveTotals totals_;
};

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_RECEIVER_H_
