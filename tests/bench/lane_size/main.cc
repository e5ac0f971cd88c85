// Prints, as JSON, the bytes that one lane with one port takes: its memfd, the entries of its rings, and the memory
// that the dataplane allocates for it. The last is counted while the product makes a Lane, so that no size is repeated
// here.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include <linux/if_xdp.h>

#include "absl/strings/str_format.h"
#include "dataplane/base/unique_fd.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/contract/umem_layout.h"
#include "dataplane/lane/handoff.h"
#include "dataplane/lane/lane.h"
#include "tests/dataplane/fake_ring.h"

namespace {

bool counting = false;
size_t allocated_bytes = 0;

void* Allocate(size_t bytes, size_t alignment) {
  if (counting) {
    allocated_bytes += bytes;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes) != 0) {
    abort();
  }
  return memory;
}

}  // namespace

void* operator new(size_t bytes) {
  return Allocate(bytes, alignof(std::max_align_t));
}
void* operator new(size_t bytes, std::align_val_t alignment) {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* memory) noexcept {
  free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  free(memory);
}
void operator delete(void* memory, size_t, std::align_val_t) noexcept {
  free(memory);
}

namespace sluice {
namespace {

constexpr uint32_t kPorts = 1;
constexpr uint32_t kFrameBytes = 2048;  // at an MTU of 1500

class NoKernel final : public XskKernel {
 public:
  int poll_fd() const override { return -1; }
  void WakeTx() override {}
  void WakeRx() override {}
  uint32_t Lost() const override { return 0; }
};

int Main() {
  const UmemLayout layout = LaneLayout(kPorts, kFrameBytes);
  const UniqueFd memory(memfd_create("lane-size", MFD_CLOEXEC));
  if (!memory || ftruncate(memory.get(), static_cast<off_t>(layout.total_bytes())) != 0) {
    perror("lane_size: memfd");
    return 1;
  }
  FakeRing<uint64_t> fill(kLaneRings.fill, kNearWrap);
  FakeRing<uint64_t> completion(kLaneRings.completion, kNearWrap);
  FakeRing<xdp_desc> rx(kLaneRings.rx, kNearWrap);
  FakeRing<xdp_desc> tx(kLaneRings.tx, kNearWrap);
  const auto stats = std::make_unique<LaneStats>();
  std::vector<PortSocket> sockets;
  sockets.push_back({0,
                     {FillRing(fill.memory()), CompletionRing(completion.memory()), RxRing(rx.memory()),
                      TxRing(tx.memory()), std::make_unique<NoKernel>()}});

  counting = true;
  absl::StatusOr<Umem> umem = Umem::Map(memory.get(), layout);
  if (!umem.ok()) {
    fprintf(stderr, "lane_size: %s\n", std::string(umem.status().message()).c_str());
    return 1;
  }
  const auto lane = std::make_unique<Lane>(0, *std::move(umem), std::move(sockets), *stats);
  counting = false;

  absl::PrintF(
      "{\"memfd_bytes\": %d, \"private_bytes\": %d, \"handoff_ring_bytes\": %d, \"ring_entries_bytes\": [%d, %d, %d, "
      "%d]}\n",
      layout.total_bytes(), allocated_bytes, sizeof(HandoffRing), kLaneRings.fill * sizeof(uint64_t),
      kLaneRings.completion * sizeof(uint64_t), kLaneRings.rx * sizeof(xdp_desc), kLaneRings.tx * sizeof(xdp_desc));
  return 0;
}

}  // namespace
}  // namespace sluice

int main() {
  return sluice::Main();
}
