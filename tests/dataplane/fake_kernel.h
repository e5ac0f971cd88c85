// The kernel's side of AF_XDP sockets, in memory. Tests use it in place of the kernel.
//
//   FakeSocket   four rings whose indices start near 2^32, so that they wrap at once; delivers frames,
//                sends what is on the transmit ring, completes it when told to
//   FakeLane     a UMEM and one FakeSocket per port; makes the product's Lane on them, again after a "crash"
//   FakeKernel   the product's Kernel: maps FakeSockets by descriptor, keeps XSKMAPs
//
// Threads: a FakeSocket locks itself, so that one test thread delivers while a worker sends through it.
#ifndef SLUICE_TESTS_DATAPLANE_FAKE_KERNEL_H_
#define SLUICE_TESTS_DATAPLANE_FAKE_KERNEL_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/if_xdp.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/contract/umem_layout.h"
#include "dataplane/io/xsk_socket.h"
#include "dataplane/lane/lane.h"
#include "dataplane/process/kernel.h"
#include "tests/dataplane/fake_ring.h"
#include "tests/lib/packet.h"

namespace sluice {

inline constexpr uint32_t kHeadroom = 256;  // XDP_PACKET_HEADROOM

struct FakeSocketOptions {
  uint32_t ring_size = 64;
  uint32_t start = kNearWrap;
  bool transmits = true;
  bool completes_at_once = true;
  uint32_t frames_per_wakeup = 32;  // the kernel's TX_BATCH_SIZE; 0 is a device that takes nothing
};

class FakeSocket {
 public:
  using Options = FakeSocketOptions;

  FakeSocket(uint8_t* umem, const Options& options)
      : options(options),
        umem_(umem),
        fill_(options.ring_size, options.start),
        completion_(options.ring_size, options.start),
        rx_(options.ring_size, options.start),
        tx_(options.ring_size, options.start),
        readable_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    tx_.set_needs_wakeup(true);
  }

  // Returns the product's view of the rings. May be called again: a successor process maps the same rings.
  XskSocket Map() {
    class Handle final : public XskKernel {
     public:
      explicit Handle(FakeSocket& socket) : socket_(socket) {}
      int poll_fd() const override { return socket_.readable_.get(); }
      void WakeTx() override { socket_.SendSome(); }
      void WakeRx() override { socket_.rx_wakeups++; }
      uint32_t Lost() const override { return socket_.lost; }

     private:
      FakeSocket& socket_;
    };
    XskSocket socket;
    socket.fill = FillRing(fill_.memory());
    socket.rx = RxRing(rx_.memory());
    if (options.transmits) {
      socket.completion = CompletionRing(completion_.memory());
      socket.tx = TxRing(tx_.memory());
    }
    socket.kernel = std::make_unique<Handle>(*this);
    return socket;
  }

  // Returns false when the packet is lost because there is no frame for it or no room in the RX ring, as on a device.
  bool Deliver(const std::string& packet) {
    const std::lock_guard lock(mutex_);
    UpdateReadable();
    while (fill_.filled() > 0) {
      pool_.push_back(fill_.Get());
    }
    if (pool_.empty() || rx_.full()) {
      ++lost;
      return false;
    }
    const uint64_t address = pool_.front() + kHeadroom;
    pool_.pop_front();
    memcpy(umem_ + address, packet.data(), packet.size());
    rx_.Put({address, static_cast<uint32_t>(packet.size()), 0});
    UpdateReadable();
    return true;
  }

  // Does the work of sendto().
  void SendSome() {
    const std::lock_guard lock(mutex_);
    ++tx_wakeups;
    for (uint32_t i = 0; i < options.frames_per_wakeup && tx_.filled() > 0; ++i) {
      const xdp_desc descriptor = tx_.Get();
      sent.emplace_back(reinterpret_cast<char*>(umem_) + descriptor.addr, descriptor.len);
      in_flight_.push_back(descriptor);
    }
    if (options.completes_at_once) {
      CompleteLocked(UINT32_MAX);
    }
  }
  void Complete(uint32_t most) {
    const std::lock_guard lock(mutex_);
    CompleteLocked(most);
  }
  void set_frames_per_wakeup(uint32_t count) {
    const std::lock_guard lock(mutex_);
    options.frames_per_wakeup = count;
  }

  std::vector<std::string> TakeSent() {
    const std::lock_guard lock(mutex_);
    return std::exchange(sent, {});
  }
  size_t in_flight() {
    const std::lock_guard lock(mutex_);
    return in_flight_.size();
  }
  // Frames that the kernel may receive into.
  uint32_t posted() {
    const std::lock_guard lock(mutex_);
    return fill_.filled() + static_cast<uint32_t>(pool_.size());
  }
  void UpdateReadiness() {
    const std::lock_guard lock(mutex_);
    UpdateReadable();
  }

  Options options;
  std::vector<std::string> sent;
  std::vector<std::string>* completed = nullptr;  // several sockets' frames in the order the devices sent them
  uint32_t tx_wakeups = 0;
  uint32_t rx_wakeups = 0;
  uint32_t lost = 0;  // packets that found no frame or no room
  FakeRing<uint64_t>& fill() { return fill_; }
  FakeRing<xdp_desc>& rx() { return rx_; }
  FakeRing<xdp_desc>& tx() { return tx_; }
  FakeRing<uint64_t>& completion() { return completion_; }

 private:
  void CompleteLocked(uint32_t most) {
    for (; most > 0 && !in_flight_.empty() && !completion_.full(); --most) {
      if (completed != nullptr) {
        completed->emplace_back(reinterpret_cast<char*>(umem_) + in_flight_.front().addr, in_flight_.front().len);
      }
      completion_.Put(in_flight_.front().addr);
      in_flight_.pop_front();
    }
  }
  // poll() reports the socket readable while its receive ring holds frames.
  void UpdateReadable() {
    uint64_t count = 1;
    if (rx_.filled() > 0) {
      (void)!write(readable_.get(), &count, sizeof(count));
    } else {
      (void)!read(readable_.get(), &count, sizeof(count));
    }
  }

  std::mutex mutex_;
  uint8_t* const umem_;
  FakeRing<uint64_t> fill_;
  FakeRing<uint64_t> completion_;
  FakeRing<xdp_desc> rx_;
  FakeRing<xdp_desc> tx_;
  std::deque<uint64_t> pool_;       // frames taken from the fill ring and not used yet
  std::deque<xdp_desc> in_flight_;  // sent, not yet completed
  UniqueFd readable_;
};

// A memfd like the one that the agent makes.
class FakeUmem {
 public:
  explicit FakeUmem(uint32_t frame_count) : layout{frame_count, 2048}, fd(memfd_create("umem", MFD_CLOEXEC)) {
    EXPECT_EQ(ftruncate(fd.get(), static_cast<off_t>(layout.total_bytes())), 0);
    memory =
        static_cast<uint8_t*>(mmap(nullptr, layout.total_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0));
  }
  ~FakeUmem() { munmap(memory, layout.total_bytes()); }
  FakeUmem(const FakeUmem&) = delete;
  FakeUmem& operator=(const FakeUmem&) = delete;

  uint8_t& owner(uint32_t frame) { return memory[layout.owners_offset_bytes() + frame]; }
  uint32_t CountOwned(FrameOwner by) {
    uint32_t count = 0;
    for (uint32_t frame = 0; frame < layout.frame_count; ++frame) {
      count += owner(frame) == static_cast<uint8_t>(by) ? 1 : 0;
    }
    return count;
  }

  const UmemLayout layout;
  UniqueFd fd;
  uint8_t* memory = nullptr;
};

class FakeLane {
 public:
  explicit FakeLane(uint32_t ports = 1, uint32_t frames = 512, const FakeSocket::Options& options = {}) : umem(frames) {
    for (uint32_t port = 0; port < ports; ++port) {
      sockets.push_back(std::make_unique<FakeSocket>(umem.memory, options));
    }
  }

  // Makes a Lane like a process that has just received the descriptors. The previous Lane must be gone.
  std::unique_ptr<Lane> Open(uint32_t index, LaneStats& stats, AwakeClock::Source clock = MonotonicNs) {
    absl::StatusOr<Umem> mapped = Umem::Map(umem.fd.get(), umem.layout);
    EXPECT_TRUE(mapped.ok()) << mapped.status();
    std::vector<PortSocket> mapped_sockets;
    for (uint32_t port = 0; port < sockets.size(); ++port) {
      mapped_sockets.push_back({port, sockets[port]->Map()});
    }
    return std::make_unique<Lane>(index, *std::move(mapped), std::move(mapped_sockets), stats, clock);
  }

  FakeUmem umem;
  std::vector<std::unique_ptr<FakeSocket>> sockets;
};

// Sums over lanes and ports of a segment.
struct Balance {
  uint64_t rx = 0;
  uint64_t originated = 0;
  uint64_t tx = 0;
  uint64_t passed = 0;
  uint64_t drops = 0;
  uint64_t held = 0;  // by ports, hand-offs, the way to the kernel and the function

  static Balance Of(const StatsSegment& stats) {
    Balance sum;
    for (const LaneStats& lane : stats.lanes) {
      sum.held += lane.handoff_held.Get() + lane.to_kernel_held.Get() + lane.function_held.Get();
      for (const LanePortStats& port : lane.ports) {
        sum.rx += port.rx_packets.Get();
        sum.originated += port.originated.Get();
        sum.tx += port.tx_packets.Get();
        sum.passed += port.passed.Get();
        sum.held += port.held.Get();
        for (const StatsCounter& drops : port.drops) {
          sum.drops += drops.Get();
        }
      }
    }
    return sum;
  }
  bool holds() const { return rx + originated == tx + passed + drops + held; }
};

inline std::ostream& operator<<(std::ostream& out, const Balance& sum) {
  return out << "rx " << sum.rx << " originated " << sum.originated << " tx " << sum.tx << " passed " << sum.passed
             << " drops " << sum.drops << " held " << sum.held;
}

inline uint64_t Drops(const LaneStats& stats, uint32_t port, DropReason reason) {
  return stats.ports[port].drops[static_cast<uint32_t>(reason)].Get();
}

// A UDP packet of flow `flow`, carrying `sequence`. Its checksums are 0.
inline std::string UdpPacket(uint32_t flow, uint64_t sequence) {
  static const Bytes kPacket = Packet().eth().ipv4("10.0.0.1", "10.0.0.2").udp(0, 0).payload(22).bytes();
  std::string packet(kPacket.begin(), kPacket.end());
  memcpy(&packet[34], &flow, 2);  // the source port
  memcpy(&packet[44], &flow, sizeof(flow));
  memcpy(&packet[48], &sequence, sizeof(sequence));
  return packet;
}
inline uint32_t FlowOf(const std::string& packet) {
  uint32_t flow;
  memcpy(&flow, &packet[44], sizeof(flow));
  return flow;
}
inline uint64_t SequenceOf(const std::string& packet) {
  uint64_t sequence;
  memcpy(&sequence, &packet[48], sizeof(sequence));
  return sequence;
}

// Expects each flow's packets in order and without duplicates.
inline void ExpectOrder(const std::vector<std::string>& packets) {
  std::map<uint32_t, uint64_t> last;
  for (const std::string& packet : packets) {
    const auto [before, first] = last.try_emplace(FlowOf(packet), SequenceOf(packet));
    if (!first) {
      ASSERT_LT(before->second, SequenceOf(packet)) << "flow " << FlowOf(packet);
      before->second = SequenceOf(packet);
    }
  }
}

class FakeKernel final : public Kernel {
 public:
  // From now on MapSocket takes any descriptor of fd's file for the socket.
  void Bind(int fd, FakeSocket& socket) { sockets_[FileOf(fd)] = &socket; }

  absl::StatusOr<XskSocket> MapSocket(int socket_fd, const XskRingSizes&) override {
    const auto socket = sockets_.find(FileOf(socket_fd));
    if (socket == sockets_.end()) {
      return absl::InvalidArgumentError("not an AF_XDP socket");
    }
    return socket->second->Map();
  }
  absl::StatusOr<bool> EnterXskMap(int map_fd, uint32_t key, int) override {
    if (refused_keys.contains(key)) {
      return absl::InternalError("no room");
    }
    return entries.insert({FileOf(map_fd), key}).second;
  }
  absl::Status LeaveXskMap(int map_fd, uint32_t key) override {
    entries.erase({FileOf(map_fd), key});
    return absl::OkStatus();
  }
  absl::Status SetRcuWaiter(UniqueFd outer, UniqueFd inner) override {
    return outer && inner ? absl::OkStatus() : absl::InvalidArgumentError("no maps to wait by");
  }
  absl::Status WaitForRcuGracePeriod() override {
    ++fences;
    return rcu_error;
  }

  std::set<std::pair<ino_t, uint32_t>> entries;  // of all XSKMAPs
  std::set<uint32_t> refused_keys;
  int fences = 0;
  absl::Status rcu_error;  // the result of WaitForRcuGracePeriod

 private:
  static ino_t FileOf(int fd) {
    struct stat file {};
    fstat(fd, &file);
    return file.st_ino;
  }
  std::map<ino_t, FakeSocket*> sockets_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_FAKE_KERNEL_H_
