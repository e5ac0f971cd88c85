#include "tests/cost/replay.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"

namespace sluice::cost {
namespace {

constexpr uint32_t kFrameBytes = 2048;
constexpr uint32_t kHeadroomBytes = 256;   // XDP_PACKET_HEADROOM
constexpr uint32_t kFramesPerSendto = 32;  // net/xdp/xsk.c: TX_BATCH_SIZE

}  // namespace

class ReplaySocket::Waker final : public XskKernel {
 public:
  explicit Waker(ReplaySocket& socket) : socket_(socket) {}
  int poll_fd() const override { return -1; }
  void WakeTx() override { socket_.Send(); }
  void WakeRx() override {}
  uint32_t Lost() const override { return 0; }

 private:
  ReplaySocket& socket_;
};

ReplaySocket::ReplaySocket(const XskRingSizes& sizes, const std::vector<std::string>& recording, size_t first)
    : recording_(recording),
      next_(first % recording.size()),
      fill_(sizes.fill, kNearWrap),
      completion_(sizes.completion, kNearWrap),
      rx_(sizes.rx, kNearWrap),
      tx_(sizes.tx, kNearWrap) {
  tx_.set_needs_wakeup(true);
  sent_.reserve(sizes.completion);
}

XskSocket ReplaySocket::Map() {
  return {FillRing(fill_.memory()), CompletionRing(completion_.memory()), RxRing(rx_.memory()), TxRing(tx_.memory()),
          std::make_unique<Waker>(*this)};
}

bool ReplaySocket::Deliver(uint32_t count) {
  for (uint32_t i = 0; i < count; ++i) {
    if (fill_.filled() == 0 || rx_.full()) {
      return false;
    }
    const uint64_t address = fill_.Get() + kHeadroomBytes;
    const std::string& frame = recording_[next_];
    next_ = (next_ + 1) % recording_.size();
    std::memcpy(umem_ + address, frame.data(), frame.size());
    rx_.Put({address, static_cast<uint32_t>(frame.size()), 0});
  }
  return true;
}

void ReplaySocket::Send() {
  for (uint32_t i = 0; i < kFramesPerSendto && tx_.filled() > 0 && sent_.size() < sent_.capacity(); ++i) {
    sent_.push_back(tx_.Get().addr);
  }
}

uint32_t ReplaySocket::Complete() {
  for (const uint64_t address : sent_) {
    completion_.Put(address);
  }
  const uint32_t completed = static_cast<uint32_t>(sent_.size());
  sent_.clear();
  return completed;
}

absl::StatusOr<std::unique_ptr<ReplayLane>> ReplayLane::Open(uint32_t index, uint32_t ports, LaneStats& stats,
                                                             const std::vector<std::string>& recording) {
  const UmemLayout layout = LaneLayout(ports, kFrameBytes);
  UniqueFd memory(memfd_create("packet-cost", MFD_CLOEXEC));
  if (!memory || ftruncate(memory.get(), static_cast<off_t>(layout.total_bytes())) != 0) {
    return absl::ResourceExhaustedError(absl::StrCat("making a UMEM: ", strerror(errno)));
  }
  absl::StatusOr<Umem> umem = Umem::Map(memory.get(), layout);
  if (!umem.ok()) {
    return umem.status();
  }
  auto made = std::make_unique<ReplayLane>();
  std::vector<PortSocket> mapped;
  for (uint32_t port = 0; port < ports; ++port) {
    // In one round, lanes and ports receive different frames.
    ReplaySocket& socket = *made->sockets_.emplace_back(
        std::make_unique<ReplaySocket>(kLaneRings, recording, size_t{index} * 7 + size_t{port} * 3));
    socket.SetMemory(umem->Data(0));
    mapped.push_back({port, socket.Map()});
  }
  made->lane_ = std::make_unique<Lane>(index, *std::move(umem), std::move(mapped), stats);
  return made;
}

bool ReplayLane::Deliver(uint32_t count) {
  for (const std::unique_ptr<ReplaySocket>& socket : sockets_) {
    if (!socket->Deliver(count)) {
      return false;
    }
  }
  return true;
}

uint32_t ReplayLane::Complete() {
  uint32_t completed = 0;
  for (const std::unique_ptr<ReplaySocket>& socket : sockets_) {
    completed += socket->Complete();
  }
  return completed;
}

}  // namespace sluice::cost
