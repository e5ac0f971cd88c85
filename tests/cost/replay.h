// A device and kernel in memory for packet_cost: delivers recorded frames, and accepts every frame that a lane sends.
//
//   Deliver   takes frames from the fill ring, copies the next recorded ones into them, puts them on the receive ring
//   WakeTx    takes 32 frames from the transmit ring, as sendto() does in copy mode
//   Complete  gives back all frames that were taken
//
// Only WakeTx is called within Lane::Poll. Everything here is in namespace sluice::cost, whose instructions measure.py
// leaves out: another bench measures the cost of system calls.
//
// For one thread.
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
  // Delivers frames from number `first` of the recording on. The recording must outlive the socket.
  ReplaySocket(const XskRingSizes& sizes, const std::vector<std::string>& recording, size_t first);

  XskSocket Map();
  // Sets the lane's memory. Must be called before Deliver.
  void SetMemory(uint8_t* umem) { umem_ = umem; }
  // Delivers `count` frames. Returns false if frames or room ran out.
  bool Deliver(uint32_t count);
  // Completes the frames that were taken. Returns how many.
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
  std::vector<uint64_t> sent_;  // frames not completed; reserved up front, so that WakeTx does not allocate
};

// A Lane of the product, with ReplaySockets.
class ReplayLane {
 public:
  static absl::StatusOr<std::unique_ptr<ReplayLane>> Open(uint32_t index, uint32_t ports, LaneStats& stats,
                                                          const std::vector<std::string>& recording);
  Lane& lane() { return *lane_; }
  // Delivers `count` frames on each port. Returns false if a port did not take them all.
  bool Deliver(uint32_t count);
  // Completes the frames on all ports. Returns how many.
  uint32_t Complete();

 private:
  std::vector<std::unique_ptr<ReplaySocket>> sockets_;
  std::unique_ptr<Lane> lane_;
};

}  // namespace sluice::cost

#endif  // SLUICE_TESTS_COST_REPLAY_H_
