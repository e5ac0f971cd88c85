#include "dataplane/io/xsk_socket.h"

#include <sys/socket.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/mapping.h"

namespace sluice {
namespace {

class BoundXsk final : public XskKernel {
 public:
  explicit BoundXsk(int fd) : fd_(fd) {}

  int poll_fd() const override { return fd_; }
  // Nobody needs the results of these calls: the rings tell what happened, and after any error (EAGAIN, EBUSY or
  // ENOBUFS for a full device; ENETDOWN) the caller asks again later.
  void WakeTx() override { (void)sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0); }
  void WakeRx() override { (void)recvfrom(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr); }
  uint32_t Lost() const override {
    xdp_statistics statistics{};
    socklen_t length = sizeof(statistics);
    (void)getsockopt(fd_, SOL_XDP, XDP_STATISTICS, &statistics, &length);
    return static_cast<uint32_t>(statistics.rx_dropped + statistics.rx_ring_full);
  }

  absl::StatusOr<RingMemory> MapRing(const char* what, const xdp_ring_offset& at, uint64_t page_offset, uint32_t size,
                                     size_t entry_bytes) {
    if (!std::has_single_bit(size)) {
      return absl::InvalidArgumentError(absl::StrCat(what, " of ", size, " entries: not a power of two"));
    }
    absl::StatusOr<Mapping> memory =
        Mapping::Share(fd_, at.desc + size * entry_bytes, static_cast<off_t>(page_offset), what);
    if (!memory.ok()) {
      return memory.status();
    }
    uint8_t* start = memory->start();
    rings_[ring_count_++] = *std::move(memory);
    return RingMemory{reinterpret_cast<uint32_t*>(start + at.producer),
                      reinterpret_cast<uint32_t*>(start + at.consumer), reinterpret_cast<uint32_t*>(start + at.flags),
                      start + at.desc, size};
  }

 private:
  const int fd_;
  Mapping rings_[4];
  int ring_count_ = 0;
};

}  // namespace

absl::StatusOr<XskSocket> MapXskSocket(int fd, const XskRingSizes& sizes) {
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof(offsets);
  if (getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) {
    return absl::InvalidArgumentError(absl::StrCat("not an AF_XDP socket: XDP_MMAP_OFFSETS: ", strerror(errno)));
  }
  if (length != sizeof(offsets)) {
    return absl::FailedPreconditionError("a kernel without ring flags (before 5.4) has no need_wakeup");
  }

  auto kernel = std::make_unique<BoundXsk>(fd);
  XskSocket socket;
  auto map = [&kernel](auto& ring, const char* what, const xdp_ring_offset& at, uint64_t page_offset, uint32_t size,
                       size_t entry_bytes) -> absl::Status {
    absl::StatusOr<RingMemory> memory = kernel->MapRing(what, at, page_offset, size, entry_bytes);
    if (!memory.ok()) {
      return memory.status();
    }
    ring = std::remove_reference_t<decltype(ring)>(*memory);
    return absl::OkStatus();
  };

  absl::Status status =
      map(socket.fill, "the fill ring", offsets.fr, XDP_UMEM_PGOFF_FILL_RING, sizes.fill, sizeof(uint64_t));
  if (status.ok()) {
    status = map(socket.rx, "the receive ring", offsets.rx, XDP_PGOFF_RX_RING, sizes.rx, sizeof(xdp_desc));
  }
  if (status.ok() && sizes.tx != 0) {
    status = map(socket.tx, "the transmit ring", offsets.tx, XDP_PGOFF_TX_RING, sizes.tx, sizeof(xdp_desc));
  }
  if (status.ok() && sizes.tx != 0) {
    status = map(socket.completion, "the completion ring", offsets.cr, XDP_UMEM_PGOFF_COMPLETION_RING, sizes.completion,
                 sizeof(uint64_t));
  }
  if (!status.ok()) {
    return status;
  }
  socket.kernel = std::move(kernel);
  return socket;
}

}  // namespace sluice
