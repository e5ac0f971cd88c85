#include "tests/kernel/wire.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>

#include "absl/time/clock.h"

namespace sluice {
namespace {

constexpr size_t kTagBytes = 4;

// struct virtio_net_hdr, what PACKET_VNET_HDR puts before each frame; linux/virtio_net.h is not C++.
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

uint32_t Sum(const uint8_t* data, size_t bytes, uint32_t sum = 0) {
  for (size_t i = 0; i < bytes; ++i) {
    sum += i % 2 == 0 ? uint32_t{data[i]} << 8 : data[i];
  }
  return sum;
}

uint16_t Fold(uint32_t sum) {
  while (sum >> 16 != 0) {
    sum = (sum & 0xffff) + (sum >> 16);
  }
  return static_cast<uint16_t>(sum);
}

size_t IpOffset(const Bytes& frame) {
  return sizeof(ether_header) + (VlanOf(frame).has_value() ? kTagBytes : 0);
}

size_t TransportOffset(const Bytes& frame) {
  return IpOffset(frame) + sizeof(iphdr);
}

uint32_t PseudoHeaderSum(const Bytes& frame) {
  const uint8_t* ip = frame.data() + IpOffset(frame);
  const size_t length = (size_t{ip[2]} << 8 | ip[3]) - sizeof(iphdr);
  return Sum(ip + offsetof(iphdr, saddr), 8) + ip[offsetof(iphdr, protocol)] + static_cast<uint32_t>(length);
}

size_t ChecksumField(uint8_t protocol) {
  return protocol == IPPROTO_TCP ? offsetof(tcphdr, check) : offsetof(udphdr, check);
}

uint8_t ProtocolOf(const Bytes& frame) {
  return frame[IpOffset(frame) + offsetof(iphdr, protocol)];
}

}  // namespace

std::optional<uint16_t> VlanOf(const Bytes& frame) {
  if (frame[12] == 0x81 && frame[13] == 0x00) {
    return static_cast<uint16_t>((frame[14] << 8 | frame[15]) & 0x0fff);
  }
  return std::nullopt;
}

Bytes PartialChecksumFrame(const FrameSpec& spec) {
  Bytes frame(spec.destination.begin(), spec.destination.end());
  const uint8_t source[] = {0x02, 0, 0, 0, 0, 0x77};
  frame.insert(frame.end(), std::begin(source), std::end(source));
  if (spec.vlan.has_value()) {
    frame.insert(frame.end(), {0x81, 0x00, static_cast<uint8_t>(*spec.vlan >> 8), static_cast<uint8_t>(*spec.vlan)});
  }
  frame.insert(frame.end(), {0x08, 0x00});
  const size_t transport_bytes = spec.protocol == IPPROTO_TCP ? sizeof(tcphdr) : sizeof(udphdr);
  const auto ip_bytes = static_cast<uint16_t>(sizeof(iphdr) + transport_bytes + spec.payload_bytes);
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = spec.protocol;
  ip.tot_len = htons(ip_bytes);
  inet_pton(AF_INET, spec.source_ip.c_str(), &ip.saddr);
  inet_pton(AF_INET, spec.destination_ip.c_str(), &ip.daddr);
  ip.check = htons(static_cast<uint16_t>(~Fold(Sum(reinterpret_cast<const uint8_t*>(&ip), sizeof(ip)))));
  const auto* ip_start = reinterpret_cast<const uint8_t*>(&ip);
  frame.insert(frame.end(), ip_start, ip_start + sizeof(ip));
  const size_t transport = frame.size();
  frame.resize(transport + transport_bytes);
  if (spec.protocol == IPPROTO_TCP) {
    tcphdr tcp{};
    tcp.source = htons(40000);
    tcp.dest = htons(spec.destination_port);
    tcp.doff = sizeof(tcp) / 4;
    tcp.ack = 1;
    std::memcpy(&frame[transport], &tcp, sizeof(tcp));
  } else {
    udphdr udp{};
    udp.source = htons(40000);
    udp.dest = htons(spec.destination_port);
    udp.len = htons(static_cast<uint16_t>(sizeof(udp) + spec.payload_bytes));
    std::memcpy(&frame[transport], &udp, sizeof(udp));
  }
  for (size_t i = 0; i < spec.payload_bytes; ++i) {
    frame.push_back(static_cast<uint8_t>(i * 7 + 1));
  }
  const uint16_t pseudo = htons(Fold(PseudoHeaderSum(frame)));
  std::memcpy(&frame[transport + ChecksumField(spec.protocol)], &pseudo, sizeof(pseudo));
  return frame;
}

bool ChecksumIsGood(const Bytes& frame) {
  const size_t transport = TransportOffset(frame);
  const uint8_t* ip = frame.data() + IpOffset(frame);
  const size_t length = (size_t{ip[2]} << 8 | ip[3]) - sizeof(iphdr);
  return transport + length <= frame.size() &&
         Fold(Sum(frame.data() + transport, length, PseudoHeaderSum(frame))) == 0xffff;
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
  header.checksum_start = static_cast<uint16_t>(TransportOffset(frame));
  header.checksum_offset = static_cast<uint16_t>(ChecksumField(ProtocolOf(frame)));
  if (segment_bytes != 0) {
    header.gso_type = VnetHeader::kTcp4;
    header.segment_bytes = segment_bytes;
    header.header_bytes = static_cast<uint16_t>(TransportOffset(frame) + sizeof(tcphdr));
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
  const absl::Time end = absl::Now() + patience;
  while (received.size() < count && absl::Now() < end) {
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
