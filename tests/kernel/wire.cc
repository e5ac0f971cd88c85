#include "tests/kernel/wire.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstddef>
#include <cstring>

#include "dataplane/base/steady_time.h"
#include "dataplane/net/checksum.h"
#include "dataplane/net/headers.h"

namespace sluice {
namespace {

// struct virtio_net_hdr, which precedes each frame with PACKET_VNET_HDR. linux/virtio_net.h does not compile as C++.
struct VnetHeader {
  static constexpr uint8_t kNeedsChecksum = 1;
  static constexpr uint8_t kTcp4 = 1;
  uint8_t flags;
  uint8_t gso_type;
  uint16_t header_bytes;
  uint16_t segment_bytes;
  uint16_t checksum_start;
  uint16_t checksum_offset;
};
static_assert(sizeof(VnetHeader) == 10);

Headers HeadersOf(const Bytes& frame) {
  const Headers headers = Parse(frame.data(), static_cast<uint32_t>(frame.size()));
  EXPECT_EQ(headers.network, Network::kIpv4);
  return headers;
}

uint16_t ChecksumField(uint8_t protocol) {
  return protocol == SLUICE_PROTO_TCP ? offsetof(TcpHeader, checksum) : offsetof(UdpHeader, checksum);
}

}  // namespace

std::optional<uint16_t> VlanOf(const Bytes& frame) {
  const Headers headers = Parse(frame.data(), static_cast<uint32_t>(frame.size()));
  return headers.vlan == kNoVlan ? std::nullopt : std::optional(headers.vlan);
}

Bytes PartialChecksumFrame(const FrameSpec& spec) {
  Bytes payload(spec.payload_bytes);
  for (size_t i = 0; i < payload.size(); ++i) {
    payload[i] = static_cast<uint8_t>(i * 7 + 1);
  }
  Packet packet;
  packet.eth(spec.destination);
  if (spec.vlan.has_value()) {
    packet.vlan(*spec.vlan);
  }
  packet.ipv4(spec.source_ip, spec.destination_ip);
  if (spec.protocol == SLUICE_PROTO_TCP) {
    packet.tcp(40000, spec.destination_port);
  } else {
    packet.udp(40000, spec.destination_port);
  }
  return packet.payload(payload).partial_checksums().bytes();
}

bool ChecksumIsGood(const Bytes& frame) {
  const Headers headers = HeadersOf(frame);
  const auto& ip = HeaderAt<Ipv4Header>(frame.data(), headers.l3_offset);
  const uint64_t pseudo = PseudoHeader(ip, headers.protocol, headers.l4_bytes);
  return Fold(Sum(frame.data() + headers.l4_offset, headers.l4_bytes, pseudo)) == kChecksumIsRight;
}

Wire::Wire(const std::string& netdev) : socket_(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL))) {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(if_nametoindex(netdev.c_str()));
  EXPECT_EQ(bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), 0);
  const int on = 1;
  EXPECT_EQ(setsockopt(socket_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)), 0);
  EXPECT_EQ(setsockopt(socket_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
}

void Wire::Send(const Bytes& frame, uint16_t segment_bytes) {
  VnetHeader header{};
  header.flags = VnetHeader::kNeedsChecksum;
  const Headers headers = HeadersOf(frame);
  header.checksum_start = headers.l4_offset;
  header.checksum_offset = ChecksumField(headers.protocol);
  if (segment_bytes != 0) {
    header.gso_type = VnetHeader::kTcp4;
    header.segment_bytes = segment_bytes;
    header.header_bytes = static_cast<uint16_t>(headers.l4_offset + sizeof(TcpHeader));
  }
  const auto* start = reinterpret_cast<const uint8_t*>(&header);
  Bytes message(start, start + sizeof(header));
  message.insert(message.end(), frame.begin(), frame.end());
  EXPECT_EQ(send(socket_.get(), message.data(), message.size(), 0), static_cast<ssize_t>(message.size()))
      << std::strerror(errno);
}

void Wire::Mark(uint32_t value) {
  for (const int option : {SO_MARK, SO_PRIORITY}) {
    EXPECT_EQ(setsockopt(socket_.get(), SOL_SOCKET, option, &value, sizeof(value)), 0) << std::strerror(errno);
  }
}

std::vector<Bytes> Wire::Receive(size_t count, absl::Duration patience) {
  std::vector<Bytes> received;
  const SteadyTime end = SteadyTime::Now() + patience;
  while (received.size() < count && SteadyTime::Now() < end) {
    pollfd readable{socket_.get(), POLLIN, 0};
    if (poll(&readable, 1, 10) != 1) {
      continue;
    }
    Bytes message(70000);
    const ssize_t n = recv(socket_.get(), message.data(), message.size(), 0);
    if (n > static_cast<ssize_t>(sizeof(VnetHeader))) {
      received.emplace_back(message.begin() + sizeof(VnetHeader), message.begin() + n);
    }
  }
  return received;
}

}  // namespace sluice
