#include "tests/traffic/frame.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "dataplane/net/checksum.h"
#include "dataplane/net/headers.h"
#include "tests/lib/packet.h"

namespace sluice::flowgen {
namespace {

constexpr uint16_t kDontFragment = 0x4000;

// Returns the bytes of `format`, with addresses, ports and checksums 0.
Bytes FrameOf(const FrameFormat& format) {
  Packet packet;
  packet.eth(format.dst_mac, format.src_mac);
  if (format.vlan) {
    packet.vlan(*format.vlan);
  }
  if (format.ipv6) {
    packet.ipv6("::", "::");
  } else {
    packet.ipv4("0.0.0.0", "0.0.0.0", /*option_words=*/0, kDontFragment);
  }
  const size_t headers_bytes = SmallestFrameBytes(format.ipv6) - kStampBytes;
  return packet.udp(0, 0).payload(Bytes(format.size_bytes - headers_bytes)).bytes();
}

// Returns the sum over pseudo header, UDP header and payload. It folds to kChecksumIsRight if the checksum is right; if
// the field is 0, the checksum is made from it.
uint64_t UdpSum(const uint8_t* ip, bool ipv6, absl::Span<const uint8_t> datagram) {
  const auto bytes = static_cast<uint32_t>(datagram.size());
  const uint64_t pseudo = ipv6 ? PseudoHeader(HeaderAt<Ipv6Header>(ip, 0), SLUICE_PROTO_UDP, bytes)
                               : PseudoHeader(HeaderAt<Ipv4Header>(ip, 0), SLUICE_PROTO_UDP, bytes);
  return Sum(datagram.data(), datagram.size(), pseudo);
}

}  // namespace

uint32_t SmallestFrameBytes(bool ipv6) {
  return static_cast<uint32_t>(SLUICE_ETHERNET_BYTES + (ipv6 ? SLUICE_IPV6_BYTES : SLUICE_IPV4_BYTES) +
                               SLUICE_UDP_BYTES + kStampBytes);
}

FrameBuilder::FrameBuilder(const FrameFormat& format)
    : format_(format),
      frame_(FrameOf(format)),
      ip_at_(SLUICE_ETHERNET_BYTES + (format.vlan ? SLUICE_TAG_BYTES : 0)),
      udp_at_(ip_at_ + (format.ipv6 ? SLUICE_IPV6_BYTES : SLUICE_IPV4_BYTES)) {}

void FrameBuilder::SetFlow(uint32_t flow) {
  const size_t address_bytes = format_.ipv6 ? sizeof(Ipv6Address) : sizeof(be32);
  uint8_t* ip = &frame_[ip_at_];
  uint8_t* first = ip + (format_.ipv6 ? offsetof(Ipv6Header, source) : offsetof(Ipv4Header, source));
  uint8_t* second = first + address_bytes;
  uint8_t* src = format_.reversed ? second : first;
  uint8_t* dst = format_.reversed ? first : second;
  std::memcpy(src, format_.src_ip.data(), address_bytes);
  std::memcpy(dst, format_.dst_ip.data(), address_bytes);
  auto& low = HeaderAt<be32>(src, static_cast<uint32_t>(address_bytes - sizeof(be32)));
  low = be32(low.host() + flow / kFlowsPerAddress);

  auto& ports = HeaderAt<Ports>(&frame_[udp_at_], 0);
  ports = {be16(static_cast<uint16_t>(kFirstSourcePort + flow % kFlowsPerAddress)), be16(format_.dst_port)};
  if (format_.reversed) {
    std::swap(ports.source, ports.destination);
  }
  if (!format_.ipv6) {
    auto& header = HeaderAt<Ipv4Header>(ip, 0);
    header.checksum = be16(0);
    header.checksum = Checksum(Sum(&header, sizeof(header)));
  }
}

void FrameBuilder::SetUdpChecksum() {
  auto& udp = HeaderAt<UdpHeader>(&frame_[udp_at_], 0);
  udp.checksum = be16(0);
  const be16 sum =
      Checksum(UdpSum(&frame_[ip_at_], format_.ipv6, absl::MakeConstSpan(&frame_[udp_at_], frame_.size() - udp_at_)));
  udp.checksum = sum == be16(0) ? be16(0xffff) : sum;  // RFC 768: zero means that there is no checksum
}

absl::Span<const uint8_t> FrameBuilder::Build(const Stamp& stamp) {
  SetFlow(stamp.flow);
  WriteStamp(stamp, absl::MakeSpan(frame_).subspan(udp_at_ + SLUICE_UDP_BYTES));
  SetUdpChecksum();
  return frame_;
}

std::optional<ParsedFrame> ParseFrame(absl::Span<const uint8_t> frame) {
  const Headers headers = Parse(frame.data(), static_cast<uint32_t>(frame.size()));
  const bool ipv6 = headers.network == Network::kIpv6;
  const uint32_t ip_bytes = headers.l4_offset - headers.l3_offset;
  if (!headers.has_ip() || headers.vlan_tags > 1 || headers.protocol != SLUICE_PROTO_UDP ||
      headers.fragment != Fragment::kNone || ip_bytes != (ipv6 ? SLUICE_IPV6_BYTES : SLUICE_IPV4_BYTES)) {
    return std::nullopt;
  }
  const absl::Span<const uint8_t> datagram = frame.subspan(headers.l4_offset, headers.l4_bytes);
  if (HeaderAt<UdpHeader>(datagram.data(), 0).length_bytes.host() != datagram.size()) {
    return std::nullopt;
  }
  ParsedFrame parsed;
  std::copy_n(frame.begin(), parsed.dst_mac.size(), parsed.dst_mac.begin());
  std::copy_n(frame.begin() + sizeof(MacAddress), parsed.src_mac.size(), parsed.src_mac.begin());
  if (headers.vlan_tags == 1) {
    parsed.vlan = headers.vlan;
  }
  const uint8_t* ip = frame.data() + headers.l3_offset;
  const bool ip_good = ipv6 || Fold(Sum(ip, SLUICE_IPV4_BYTES)) == kChecksumIsRight;
  parsed.checksums_good = ip_good && Fold(UdpSum(ip, ipv6, datagram)) == kChecksumIsRight;
  parsed.payload = datagram.subspan(SLUICE_UDP_BYTES);
  return parsed;
}

}  // namespace sluice::flowgen
