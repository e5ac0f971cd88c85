#include "tests/traffic/packet_ring.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "tests/traffic/clock.h"
#include "tests/traffic/stamp.h"

namespace sluice::flowgen {
namespace {

// 64 MiB hold 300,000 small frames, a third of a second at 1 Mpps, in case the receiver loses its core.
constexpr size_t kRingBytes = 64 << 20;
constexpr size_t kBlockBytes = 1 << 18;  // a multiple of the page size; slots do not cross blocks
// The room that tpacket_rcv leaves before a frame: its header and sockaddr_ll, aligned (net/packet/af_packet.c).
constexpr size_t kSlotHeadBytes = 96;
constexpr uint32_t kVlanBytes = 4;

size_t AlignSlot(size_t bytes) {
  return (bytes + TPACKET_ALIGNMENT - 1) / TPACKET_ALIGNMENT * TPACKET_ALIGNMENT;
}

// Accepts frames with the magic at a stamp's place: behind 42 (IPv4) or 62 bytes (IPv6), four more if a tag is still in
// the frame. A load beyond the frame's end refuses the frame, so the filter checks the length first.
absl::Status AttachFilter(int fd) {
  constexpr uint32_t kAccept = UINT32_MAX;
  std::array<sock_filter, 14> code = {{
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 42),                   // every frame of ours is longer
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kStampMagic, 11, 0),  // -> accept
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 46),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kStampMagic, 9, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 64, 0, 6),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 62),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kStampMagic, 5, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 68, 0, 2),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 66),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kStampMagic, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kAccept),
  }};
  const sock_fprog program = {.len = code.size(), .filter = code.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0) {
    return absl::ErrnoToStatus(errno, "packet socket: filter");
  }
  return absl::OkStatus();
}

template <typename T>
absl::Status SetPacketOption(int fd, int option, const T& value, const char* name) {
  if (setsockopt(fd, SOL_PACKET, option, &value, sizeof(value)) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("packet socket: ", name));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<PacketRing> PacketRing::Open(int ifindex, uint32_t largest_frame_bytes) {
  PacketRing ring;
  // Protocol 0: receives nothing until bind, when filter and ring are in place.
  ring.fd_.Reset(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!ring.fd_) {
    return absl::ErrnoToStatus(errno, "packet socket (CAP_NET_RAW needed)");
  }
  const int fd = ring.fd_.get();
  ring.slot_bytes_ = AlignSlot(kSlotHeadBytes + largest_frame_bytes + kVlanBytes);
  ring.slots_per_block_ = kBlockBytes / ring.slot_bytes_;
  ring.slots_ = ring.slots_per_block_ * (kRingBytes / kBlockBytes);
  const tpacket_req request = {.tp_block_size = kBlockBytes,
                               .tp_block_nr = kRingBytes / kBlockBytes,
                               .tp_frame_size = static_cast<unsigned int>(ring.slot_bytes_),
                               .tp_frame_nr = static_cast<unsigned int>(ring.slots_)};
  absl::Status status = AttachFilter(fd);
  status.Update(SetPacketOption(fd, PACKET_VERSION, int{TPACKET_V2}, "TPACKET_V2"));
  status.Update(SetPacketOption(fd, PACKET_IGNORE_OUTGOING, int{1}, "PACKET_IGNORE_OUTGOING"));
  status.Update(SetPacketOption(fd, PACKET_RX_RING, request, "receive ring"));
  if (!status.ok()) {
    return status;
  }
  ring.map_bytes_ = kRingBytes;
  void* map = mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED) {
    return absl::ErrnoToStatus(errno, "packet socket: mapping the receive ring");
  }
  ring.map_ = static_cast<uint8_t*>(map);
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = ifindex;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    return absl::ErrnoToStatus(errno, "packet socket: bind");
  }
  // Receive frames to other MAC addresses, too.
  packet_mreq membership{};
  membership.mr_ifindex = ifindex;
  membership.mr_type = PACKET_MR_PROMISC;
  status = SetPacketOption(fd, PACKET_ADD_MEMBERSHIP, membership, "promiscuous mode");
  if (!status.ok()) {
    return status;
  }
  return ring;
}

PacketRing::PacketRing(PacketRing&& other) noexcept
    : fd_(std::move(other.fd_)),
      map_(std::exchange(other.map_, nullptr)),
      map_bytes_(other.map_bytes_),
      slot_bytes_(other.slot_bytes_),
      slots_per_block_(other.slots_per_block_),
      slots_(other.slots_),
      index_(other.index_),
      realtime_offset_ns_(other.realtime_offset_ns_) {}

PacketRing::~PacketRing() {
  if (map_ != nullptr) {
    munmap(map_, map_bytes_);
  }
}

uint8_t* PacketRing::Slot(size_t index) const {
  return map_ + index / slots_per_block_ * kBlockBytes + index % slots_per_block_ * slot_bytes_;
}

std::optional<ReceivedFrame> PacketRing::Next() {
  uint8_t* slot = Slot(index_);
  auto* header = reinterpret_cast<tpacket2_hdr*>(slot);
  // Acquire: the frame was written before its status. The kernel is the only writer while it is the owner.
  const uint32_t status = std::atomic_ref(header->tp_status).load(std::memory_order_acquire);
  if ((status & TP_STATUS_USER) == 0) {
    realtime_offset_ns_ = RealtimeOffsetNs();
    return std::nullopt;
  }
  ReceivedFrame frame;
  frame.bytes = absl::MakeConstSpan(slot + header->tp_mac, header->tp_snaplen);
  frame.receive_ns = int64_t{header->tp_sec} * kNsPerSecond + header->tp_nsec - realtime_offset_ns_;
  if ((status & TP_STATUS_VLAN_VALID) != 0) {
    frame.vlan = static_cast<uint16_t>(header->tp_vlan_tci & 0xfff);
  }
  return frame;
}

void PacketRing::Release() {
  auto* header = reinterpret_cast<tpacket2_hdr*>(Slot(index_));
  // Release: we have read the frame before the kernel may write over it.
  std::atomic_ref(header->tp_status).store(TP_STATUS_KERNEL, std::memory_order_release);
  index_ = index_ + 1 == slots_ ? 0 : index_ + 1;
}

void PacketRing::Wait(int timeout_ms) {
  pollfd poll_fd = {.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (poll(&poll_fd, 1, timeout_ms) > 0 && (poll_fd.revents & POLLERR) != 0) {
    int error = 0;  // ENETDOWN; reading it lets the next poll wait again
    socklen_t size = sizeof(error);
    getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
}

uint64_t PacketRing::TakeDrops() {
  tpacket_stats stats{};
  socklen_t size = sizeof(stats);
  return getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0 ? stats.tp_drops : 0;
}

}  // namespace sluice::flowgen
