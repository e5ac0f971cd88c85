#include "tests/traffic/frame.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace sluice::flowgen {
namespace {

constexpr size_t kEthBytes = 14;
constexpr size_t kVlanBytes = 4;
constexpr size_t kIp4Bytes = 20;
constexpr size_t kIp6Bytes = 40;
constexpr size_t kUdpBytes = 8;
constexpr uint16_t kDontFragment = 0x4000;
constexpr uint8_t kHopLimit = 64;

void Put16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

uint16_t Get16(const uint8_t* at) {
  return static_cast<uint16_t>(at[0] << 8 | at[1]);
}

uint32_t Get32(const uint8_t* at) {
  return static_cast<uint32_t>(Get16(at)) << 16 | Get16(at + 2);
}

void Put32(uint8_t* at, uint32_t value) {
  Put16(at, value >> 16);
  Put16(at + 2, value & 0xffff);
}

// RFC 1071, in the machine's byte order (the sum is the same but for the order of its bytes).
uint64_t Sum(uint64_t sum, absl::Span<const uint8_t> data) {
  size_t i = 0;
  for (; i + 4 <= data.size(); i += 4) {
    uint32_t word;
    std::memcpy(&word, data.data() + i, sizeof(word));
    sum += word;
  }
  if (i < data.size()) {
    uint32_t word = 0;
    std::memcpy(&word, data.data() + i, data.size() - i);
    sum += word;
  }
  return sum;
}

uint16_t Fold(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

// Over the pseudo header and the datagram; 0 when the checksum in the datagram is right.
uint16_t UdpSum(absl::Span<const uint8_t> addresses, absl::Span<const uint8_t> datagram) {
  const uint64_t pseudo = htonl(static_cast<uint32_t>(datagram.size())) + uint64_t{htonl(IPPROTO_UDP)};
  return Fold(Sum(Sum(pseudo, addresses), datagram));
}

}  // namespace

uint32_t SmallestFrameBytes(bool ipv6) {
  return static_cast<uint32_t>(kEthBytes + (ipv6 ? kIp6Bytes : kIp4Bytes) + kUdpBytes + kStampBytes);
}

FrameBuilder::FrameBuilder(const FrameFormat& format)
    : format_(format),
      frame_(format.size_bytes + (format.vlan ? kVlanBytes : 0)),
      ip_at_(kEthBytes + (format.vlan ? kVlanBytes : 0)),
      udp_at_(ip_at_ + (format.ipv6 ? kIp6Bytes : kIp4Bytes)) {
  std::copy(format.dst_mac.begin(), format.dst_mac.end(), frame_.begin());
  std::copy(format.src_mac.begin(), format.src_mac.end(), frame_.begin() + ETH_ALEN);
  if (format.vlan) {
    Put16(&frame_[12], ETHERTYPE_VLAN);
    Put16(&frame_[14], *format.vlan);
  }
  Put16(&frame_[ip_at_ - 2], format.ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
  uint8_t* ip = &frame_[ip_at_];
  if (format.ipv6) {
    ip[0] = 0x60;
    Put16(ip + 4, static_cast<uint32_t>(frame_.size() - udp_at_));
    ip[6] = IPPROTO_UDP;
    ip[7] = kHopLimit;
  } else {
    ip[0] = 0x45;
    Put16(ip + 2, static_cast<uint32_t>(frame_.size() - ip_at_));
    Put16(ip + 6, kDontFragment);
    ip[8] = kHopLimit;
    ip[9] = IPPROTO_UDP;
  }
  Put16(&frame_[udp_at_ + 4], static_cast<uint32_t>(frame_.size() - udp_at_));
}

void FrameBuilder::SetFlow(uint32_t flow) {
  const size_t address_bytes = format_.ipv6 ? 16 : 4;
  uint8_t* first = &frame_[ip_at_ + (format_.ipv6 ? 8 : 12)];
  uint8_t* second = first + address_bytes;
  uint8_t* src = format_.reversed ? second : first;
  uint8_t* dst = format_.reversed ? first : second;
  std::memcpy(src, format_.src_ip.data(), address_bytes);
  std::memcpy(dst, format_.dst_ip.data(), address_bytes);
  uint8_t* low = src + address_bytes - 4;
  Put32(low, Get32(low) + flow / kFlowsPerAddress);

  uint8_t* udp = &frame_[udp_at_];
  Put16(udp + (format_.reversed ? 2 : 0), kFirstSourcePort + flow % kFlowsPerAddress);
  Put16(udp + (format_.reversed ? 0 : 2), format_.dst_port);
  if (!format_.ipv6) {
    uint8_t* ip = &frame_[ip_at_];
    std::memset(ip + 10, 0, 2);
    const uint16_t sum = Fold(Sum(0, absl::MakeConstSpan(ip, kIp4Bytes)));
    std::memcpy(ip + 10, &sum, sizeof(sum));
  }
}

void FrameBuilder::SetUdpChecksum() {
  const size_t address_bytes = format_.ipv6 ? 32 : 8;
  uint8_t* udp = &frame_[udp_at_];
  std::memset(udp + 6, 0, 2);
  uint16_t sum = UdpSum(absl::MakeConstSpan(udp - address_bytes, address_bytes),
                        absl::MakeConstSpan(udp, frame_.size() - udp_at_));
  if (sum == 0) {
    sum = 0xffff;  // RFC 768: zero would mean that there is none
  }
  std::memcpy(udp + 6, &sum, sizeof(sum));
}

absl::Span<const uint8_t> FrameBuilder::Build(const Stamp& stamp) {
  SetFlow(stamp.flow);
  WriteStamp(stamp, absl::MakeSpan(frame_).subspan(udp_at_ + kUdpBytes));
  SetUdpChecksum();
  return frame_;
}

std::optional<ParsedFrame> ParseFrame(absl::Span<const uint8_t> frame) {
  ParsedFrame parsed;
  if (frame.size() < kEthBytes + kVlanBytes) {
    return std::nullopt;
  }
  std::copy_n(frame.begin(), ETH_ALEN, parsed.dst_mac.begin());
  std::copy_n(frame.begin() + ETH_ALEN, ETH_ALEN, parsed.src_mac.begin());
  uint16_t ethertype = Get16(&frame[12]);
  frame.remove_prefix(kEthBytes);
  if (ethertype == ETHERTYPE_VLAN) {
    parsed.vlan = static_cast<uint16_t>(Get16(&frame[0]) & 0xfff);
    ethertype = Get16(&frame[2]);
    frame.remove_prefix(kVlanBytes);
  }

  const bool ipv6 = ethertype == ETHERTYPE_IPV6;
  const size_t ip_bytes = ipv6 ? kIp6Bytes : kIp4Bytes;
  if ((!ipv6 && ethertype != ETHERTYPE_IP) || frame.size() < ip_bytes + kUdpBytes) {
    return std::nullopt;
  }
  const size_t packet_bytes = ipv6 ? kIp6Bytes + Get16(&frame[4]) : Get16(&frame[2]);
  const uint8_t protocol = frame[ipv6 ? 6 : 9];
  if (frame[0] != (ipv6 ? 0x60 : 0x45) || protocol != IPPROTO_UDP || packet_bytes > frame.size() ||
      packet_bytes < ip_bytes + kUdpBytes) {
    return std::nullopt;
  }
  const absl::Span<const uint8_t> datagram = frame.subspan(ip_bytes, packet_bytes - ip_bytes);
  if (Get16(&datagram[4]) != datagram.size()) {
    return std::nullopt;
  }
  const absl::Span<const uint8_t> addresses = ipv6 ? frame.subspan(8, 32) : frame.subspan(12, 8);
  const bool ip_good = ipv6 || Fold(Sum(0, frame.first(kIp4Bytes))) == 0;
  parsed.checksums_good = ip_good && UdpSum(addresses, datagram) == 0;
  parsed.payload = datagram.subspan(kUdpBytes);
  return parsed;
}

}  // namespace sluice::flowgen
