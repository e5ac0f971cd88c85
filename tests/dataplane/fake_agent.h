// A dataplane, and the agent's side of it.
#ifndef SLUICE_TESTS_DATAPLANE_FAKE_AGENT_H_
#define SLUICE_TESTS_DATAPLANE_FAKE_AGENT_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/process/dataplane.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/stats_memory.h"

namespace sluice {

// Plays the agent: holds the originals of all descriptors, sends requests.
class DataplaneTest : public ::testing::Test {
 protected:
  DataplaneTest() : stats_fd_(MakeStatsMemory()) {
    stats_ = static_cast<StatsSegment*>(mmap(nullptr, sizeof(StatsSegment), PROT_READ, MAP_SHARED, stats_fd_.get(), 0));
    cpu_set_t cores;
    sched_getaffinity(0, sizeof(cores), &cores);
    while (!CPU_ISSET(core_, &cores)) {
      ++core_;
    }
  }
  ~DataplaneTest() override {
    dataplane_.reset();
    munmap(stats_, sizeof(StatsSegment));
  }

  static UniqueFd Duplicate(const UniqueFd& fd) { return UniqueFd(fcntl(fd.get(), F_DUPFD_CLOEXEC, 0)); }

  struct AgentLane {
    explicit AgentLane(uint32_t ports, uint32_t ring_size) : fake(ports, 1024, {.ring_size = ring_size}) {}
    FakeLane fake;
    std::vector<UniqueFd> socket_fds;
    UniqueFd map_fd;
    dataplane::LaneSpec spec;
  };
  AgentLane& MakeLane(uint32_t index, dataplane::LaneKind kind = dataplane::LANE_KIND_PAIR) {
    AgentLane& lane = *(agent_lanes_[index] = std::make_unique<AgentLane>(kPorts, 256));
    lane.spec.set_index(index);
    lane.spec.set_kind(kind);
    lane.spec.set_frame_count(lane.fake.umem.layout.frame_count);
    lane.spec.set_frame_size_bytes(2048);
    lane.map_fd = UniqueFd(memfd_create("map", MFD_CLOEXEC));
    for (uint32_t port = 0; port < kPorts; ++port) {
      lane.socket_fds.emplace_back(memfd_create("socket", MFD_CLOEXEC));
      kernel_.Bind(lane.socket_fds.back().get(), *lane.fake.sockets[port]);
      dataplane::LaneSocket& socket = *lane.spec.add_sockets();
      socket.set_port(port);
      socket.set_xskmap_key(index * 10 + port);
      socket.set_fill_size(256);
      socket.set_completion_size(256);
      socket.set_rx_size(256);
      socket.set_tx_size(256);
    }
    return lane;
  }
  std::vector<UniqueFd> Fds(const AgentLane& lane) {
    std::vector<UniqueFd> fds;
    fds.push_back(Duplicate(lane.fake.umem.fd));
    for (const UniqueFd& socket : lane.socket_fds) {
      fds.push_back(Duplicate(socket));
      fds.push_back(Duplicate(lane.map_fd));
    }
    return fds;
  }

  absl::Status Configure(const char* function = "reflect") {
    dataplane::Request request;
    request.mutable_configure()->set_function(function);
    for (uint32_t port = 0; port < kPorts; ++port) {
      request.mutable_configure()->add_ports()->set_name("port");
    }
    request.mutable_configure()->set_poll(dataplane::POLL_MODE_ADAPTIVE);
    std::vector<UniqueFd> fds;
    fds.push_back(Duplicate(stats_fd_));
    fds.emplace_back(memfd_create("outer", MFD_CLOEXEC));  // FakeKernel accepts any file in place of a BPF map
    fds.emplace_back(memfd_create("inner", MFD_CLOEXEC));
    return dataplane_->Execute(request, std::move(fds));
  }
  absl::Status Place(uint32_t workers, const std::vector<std::pair<uint32_t, uint32_t>>& placements = {}) {
    dataplane::Request request;
    for (uint32_t w = 0; w < workers; ++w) {
      request.mutable_place_lanes()->add_cores(core_);
    }
    for (const auto& [lane, worker] : placements) {
      auto& placement = *request.mutable_place_lanes()->add_placements();
      placement.set_lane(lane);
      placement.set_worker(worker);
    }
    return dataplane_->Execute(request, {});
  }
  absl::Status Add(const AgentLane& lane, uint32_t worker = 0) {
    dataplane::Request request;
    *request.mutable_add_lane()->mutable_lane() = lane.spec;
    request.mutable_add_lane()->set_worker(worker);
    return dataplane_->Execute(request, Fds(lane));
  }
  absl::Status Remove(uint32_t index, uint32_t drain_ms = 1000) {
    dataplane::Request request;
    request.mutable_remove_lane()->set_index(index);
    request.mutable_remove_lane()->set_drain_ms(drain_ms);
    return dataplane_->Execute(request, {});
  }
  absl::Status TransmitBy(uint32_t lanes) {
    dataplane::Request request;
    request.mutable_set_transmit_lanes()->set_lane_count(lanes);
    return dataplane_->Execute(request, {});
  }
  absl::Status Quarantine(uint32_t port, uint32_t frames) {
    dataplane::Request request;
    request.mutable_quarantine_sent_frames()->set_port(port);
    request.mutable_quarantine_sent_frames()->set_frames(frames);
    return dataplane_->Execute(request, {});
  }
  absl::Status Settle() {
    dataplane::Request request;
    request.mutable_count_crash_drops();
    return dataplane_->Execute(request, {});
  }
  void Start(uint32_t lanes) {
    ASSERT_TRUE(Configure().ok());
    ASSERT_TRUE(Place(2).ok());
    for (uint32_t lane = 0; lane < lanes; ++lane) {
      ASSERT_TRUE(Add(MakeLane(lane), lane % 2).ok());
    }
  }
  FakeSocket& socket(uint32_t lane, uint32_t port) { return *agent_lanes_[lane]->fake.sockets[port]; }
  // Waits, for a minute at most, until `received` frames were received in all, none is held, and the law holds.
  bool Settled(uint64_t received) const {
    for (int i = 0; i < 60000; ++i) {
      const Balance balance = Balance::Of(*stats_);
      if (balance.rx == received && balance.holds() && balance.held == 0) {
        return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  }

  static constexpr uint32_t kPorts = 2;
  uint32_t core_ = 0;
  UniqueFd stats_fd_;
  StatsSegment* stats_ = nullptr;
  FakeKernel kernel_;
  std::map<uint32_t, std::unique_ptr<AgentLane>> agent_lanes_;
  std::unique_ptr<Dataplane> dataplane_ = std::make_unique<Dataplane>(kernel_);
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_FAKE_AGENT_H_
