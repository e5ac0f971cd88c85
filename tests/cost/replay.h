// The device that packet_cost has instead of a kernel: it receives recorded frames and sends whatever it is given.
//
//   Deliver   takes frames from the fill ring, copies the next recorded ones into them, puts them on the receive ring
//   WakeTx    what sendto() does: takes 32 frames from the transmit ring, as copy mode does
//   Complete  gives back all that was taken
//
// Only WakeTx happens within Lane::Poll. Everything here is in namespace sluice::cost, whose instructions measure.py
// leaves out: what a system call costs is the kernel's and another bench's business.
//
// Threads: one.
#ifndef SLUICE_TESTS_COST_REPLAY_H_
#define SLUICE_TESTS_COST_REPLAY_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/contract/umem_layout.h"
#include "dataplane/lane/lane.h"
#include "tests/dataplane/fake_ring.h"

namespace sluice::cost {

class ReplaySocket {
 public:
  // `first`: where in the recording it begins. The recording must outlive it.
  ReplaySocket(const XskRingSizes& sizes, const std::vector<std::string>& recording, size_t first);

  XskSocket Map();
  // The lane's memory, before anything is delivered.
  void SetMemory(uint8_t* umem) { umem_ = umem; }
  // False when there is no frame or no room for all of `count`.
  bool Deliver(uint32_t count);
  // Returns how many.
  uint32_t Complete();

 private:
  class Waker;

  void Send();

  const std::vector<std::string>& recording_;
  size_t next_;
  uint8_t* umem_ = nullptr;
  FakeRing<uint64_t> fill_;
  FakeRing<uint64_t> completion_;
  FakeRing<xdp_desc> rx_;
  FakeRing<xdp_desc> tx_;
  std::vector<uint64_t> sent_;  // and not completed; never grows in WakeTx
};

// A Lane of the product, and the sockets it has.
class ReplayLane {
 public:
  static absl::StatusOr<std::unique_ptr<ReplayLane>> Open(uint32_t index, uint32_t ports, LaneStats& stats,
                                                          const std::vector<std::string>& recording);
  Lane& lane() { return *lane_; }
  // Delivers `count` frames on each port; false when one does not take them.
  bool Deliver(uint32_t count);
  // Returns how many, on all ports.
  uint32_t Complete();

 private:
  std::vector<std::unique_ptr<ReplaySocket>> sockets_;
  std::unique_ptr<Lane> lane_;
};

}  // namespace sluice::cost

#endif  // SLUICE_TESTS_COST_REPLAY_H_
