#include "tests/kernel/xsk_user.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <cstring>

#include "dataplane/base/steady_time.h"

namespace sluice {
namespace {

template <typename Ring>
void PointInto(Ring& ring, void* area, const xdp_ring_offset& offset, uint32_t size) {
  auto* base = static_cast<uint8_t*>(area);
  ring.producer = reinterpret_cast<uint32_t*>(base + offset.producer);
  ring.consumer = reinterpret_cast<uint32_t*>(base + offset.consumer);
  ring.flags = reinterpret_cast<uint32_t*>(base + offset.flags);
  ring.ring = base + offset.desc;
  ring.size = size;
  ring.mask = size - 1;
}

}  // namespace

void* XskUser::Map(int fd, size_t bytes, off_t offset) {
  void* start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  EXPECT_NE(start, MAP_FAILED) << std::strerror(errno);
  areas_.push_back({start, bytes});
  return start;
}

XskUser::XskUser(const LaneSockets& lane, size_t socket_index, uint32_t first_frame, uint32_t frame_count)
    : fd_(lane.sockets[socket_index].get()), frame_size_(lane.layout.frame_size_bytes) {
  frames_ = static_cast<uint8_t*>(Map(lane.umem.get(), lane.layout.frames_bytes(), 0));
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof(offsets);
  EXPECT_EQ(getsockopt(fd_, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length), 0);
  const XskRingSizes& size = lane.rings;
  PointInto(fill_, Map(fd_, offsets.fr.desc + size.fill * sizeof(uint64_t), XDP_UMEM_PGOFF_FILL_RING), offsets.fr,
            size.fill);
  PointInto(completion_, Map(fd_, offsets.cr.desc + size.completion * sizeof(uint64_t), XDP_UMEM_PGOFF_COMPLETION_RING),
            offsets.cr, size.completion);
  PointInto(rx_, Map(fd_, offsets.rx.desc + size.rx * sizeof(xdp_desc), XDP_PGOFF_RX_RING), offsets.rx, size.rx);
  PointInto(tx_, Map(fd_, offsets.tx.desc + size.tx * sizeof(xdp_desc), XDP_PGOFF_TX_RING), offsets.tx, size.tx);
  fill_.cached_cons = size.fill;
  tx_.cached_cons = size.tx;

  const uint32_t to_receive = frame_count / 2;
  uint32_t position = 0;
  EXPECT_EQ(xsk_ring_prod__reserve(&fill_, to_receive, &position), to_receive);
  for (uint32_t i = 0; i < to_receive; ++i) {
    *xsk_ring_prod__fill_addr(&fill_, position + i) = uint64_t{first_frame + i} * frame_size_;
  }
  xsk_ring_prod__submit(&fill_, to_receive);
  first_tx_address_ = uint64_t{first_frame + to_receive} * frame_size_;
  tx_frames_ = frame_count - to_receive;
}

XskUser::~XskUser() {
  for (const Area& area : areas_) {
    munmap(area.start, area.bytes);
  }
}

std::vector<Bytes> XskUser::Receive(size_t count, absl::Duration patience) {
  std::vector<Bytes> received;
  const SteadyTime end = SteadyTime::Now() + patience;
  while (received.size() < count && SteadyTime::Now() < end) {
    pollfd readable{fd_, POLLIN, 0};
    poll(&readable, 1, 10);
    uint32_t position = 0;
    while (xsk_ring_cons__peek(&rx_, 1, &position) == 1) {
      const xdp_desc* descriptor = xsk_ring_cons__rx_desc(&rx_, position);
      const uint8_t* start = frames_ + descriptor->addr;
      received.emplace_back(start, start + descriptor->len);
      const uint64_t frame = descriptor->addr / frame_size_ * frame_size_;
      xsk_ring_cons__release(&rx_, 1);
      uint32_t again = 0;
      EXPECT_EQ(xsk_ring_prod__reserve(&fill_, 1, &again), 1u);
      *xsk_ring_prod__fill_addr(&fill_, again) = frame;
      xsk_ring_prod__submit(&fill_, 1);
    }
  }
  return received;
}

void XskUser::Send(const Bytes& frame) {
  uint32_t position = 0;
  xsk_ring_cons__release(&completion_, xsk_ring_cons__peek(&completion_, tx_frames_, &position));
  const uint64_t address = first_tx_address_ + uint64_t{sent_++ % tx_frames_} * frame_size_;
  std::memcpy(frames_ + address, frame.data(), frame.size());
  ASSERT_EQ(xsk_ring_prod__reserve(&tx_, 1, &position), 1u);
  xdp_desc* descriptor = xsk_ring_prod__tx_desc(&tx_, position);
  descriptor->addr = address;
  descriptor->len = static_cast<uint32_t>(frame.size());
  xsk_ring_prod__submit(&tx_, 1);
  sendto(fd_, nullptr, 0, MSG_DONTWAIT, nullptr, 0);
}

}  // namespace sluice
