// Reads one interface's ring, and records the packets in the ledger of the direction that ends there.
//
// Threads: one thread calls Run(). Any thread may call ledger().received() and the like; everything else is for after
// Run().
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
  MacAddress src_mac{};  // the addresses as sent
  MacAddress dst_mac{};
  std::optional<uint16_t> vlan;
  int64_t start_ns = 0;
  int64_t interval_ns = 0;
};

// Counts of packets by properties other than flow and sequence.
struct ReceiveTotals {
  uint64_t foreign = 0;       // of another run, although the magic is there
  uint64_t corrupted = 0;     // the stamp's checksum does not match; not counted as received, so also lost
  uint64_t misdirected = 0;   // of the other direction: came back to its sender
  uint64_t bad_checksum = 0;  // wrong IPv4 or UDP checksum, stamp intact
  uint64_t bad_vlan = 0;      // another tag than was sent
  uint64_t macs_swapped = 0;
  uint64_t macs_unchanged = 0;
  uint64_t dropped = 0;  // by the kernel, because our ring was full: not the device's fault
};

class Receiver {
 public:
  Receiver(PacketRing ring, const ReceivePlan& plan);

  // Reads until `stop`, then reads the rest of the ring.
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
