#include "dataplane/net/headers.h"

#include <algorithm>

namespace sluice {
namespace {

// Every Read... returns false when the header does not fit, when its lengths contradict each other, or when there are
// more headers than the walk follows.

// `bytes`: from the transport header to the packet's end. `most_bytes`: of lengths in the header. They are those of the
// whole packet, and so may be more in a first fragment.
template <Network kNetwork>
bool ReadTransport(const uint8_t* l4, uint32_t bytes, uint32_t most_bytes, Headers& headers) {
  switch (headers.protocol) {
    case SLUICE_PROTO_TCP: {
      if (bytes < SLUICE_TCP_BYTES) {
        return false;
      }
      const auto& tcp = HeaderAt<TcpHeader>(l4, 0);
      headers.tcp_flags = tcp.flags;
      return tcp.header_bytes() >= SLUICE_TCP_BYTES && tcp.header_bytes() <= most_bytes;
    }
    case SLUICE_PROTO_UDP: {
      if (bytes < SLUICE_UDP_BYTES) {
        return false;
      }
      const uint32_t udp_bytes = HeaderAt<UdpHeader>(l4, 0).length_bytes.host();
      // Length 0 over IPv6 is a jumbogram's (RFC 2675 section 4; net/ipv6/udp.c: __udp6_lib_rcv).
      const bool jumbo = kNetwork == Network::kIpv6 && udp_bytes == 0;
      return jumbo || (udp_bytes >= SLUICE_UDP_BYTES && udp_bytes <= most_bytes);
    }
    case SLUICE_PROTO_UDPLITE:
      return bytes >= SLUICE_UDP_BYTES;
    case SLUICE_PROTO_SCTP:
      return bytes >= SLUICE_SCTP_BYTES;
    case kNetwork == Network::kIpv4 ? SLUICE_PROTO_ICMP:
    SLUICE_PROTO_ICMPV6:
      return bytes >= SLUICE_ICMP_BYTES;
    default:
      return true;
  }
}

bool ReadIpv4(const uint8_t* data, uint32_t l3, uint32_t length_bytes, Headers& headers) {
  if (l3 + SLUICE_IPV4_BYTES > length_bytes) {
    return false;
  }
  const auto& ip = HeaderAt<Ipv4Header>(data, l3);
  const uint32_t header_bytes = ip.header_bytes();
  const uint32_t total_bytes = ip.total_bytes.host();
  if (!ip.is_version4() || total_bytes < header_bytes || l3 + total_bytes > length_bytes) {
    return false;
  }
  const uint32_t l4 = l3 + header_bytes;
  const uint32_t l4_bytes = total_bytes - header_bytes;
  headers.network = Network::kIpv4;
  headers.protocol = ip.protocol;
  headers.l4_offset = static_cast<uint16_t>(l4);
  headers.l4_bytes = static_cast<uint16_t>(l4_bytes);
  constexpr be16 kMore(SLUICE_IPV4_MORE_FRAGMENTS);
  constexpr be16 kOffset(SLUICE_IPV4_FRAGMENT_OFFSET);
  if ((ip.fragment.wire() & kOffset.wire()) != 0) {
    headers.fragment = Fragment::kLater;
    return true;
  }
  uint32_t most_bytes = l4_bytes;
  if ((ip.fragment.wire() & kMore.wire()) != 0) {
    headers.fragment = Fragment::kFirst;
    most_bytes = UINT16_MAX;
  }
  return ReadTransport<Network::kIpv4>(data + l4, l4_bytes, most_bytes, headers);
}

// Walks over the extension header at `at`, and moves `at` behind it.
bool ReadIpv6Extension(const uint8_t* data, uint32_t end, uint32_t& at, Headers& headers) {
  if (at + sizeof(Ipv6Extension) > end || at > SLUICE_HEADER_REACH_BYTES) {
    return false;
  }
  const auto& extension = HeaderAt<Ipv6Extension>(data, at);
  uint32_t bytes = sluice_ipv6_extension_bytes(headers.protocol, extension.length);
  if (headers.protocol == SLUICE_PROTO_FRAGMENT) {
    bytes = SLUICE_IPV6_FRAGMENT_BYTES;
    const uint32_t fragment = HeaderAt<Ipv6FragmentHeader>(data, at).fragment.host();
    headers.fragment = (fragment & SLUICE_IPV6_FRAGMENT_OFFSET) != 0  ? Fragment::kLater
                       : (fragment & SLUICE_IPV6_MORE_FRAGMENTS) != 0 ? Fragment::kFirst
                                                                      : Fragment::kNone;
  }
  headers.protocol = extension.next_header;
  at += bytes;
  return at <= end;
}

bool ReadIpv6Extensions(const uint8_t* data, uint32_t end, uint32_t& at, Headers& headers) {
  for (int i = 0; i < SLUICE_IPV6_EXTENSIONS_MAX && headers.fragment != Fragment::kLater &&
                  sluice_is_ipv6_extension(headers.protocol) != 0;
       ++i) {
    if (!ReadIpv6Extension(data, end, at, headers)) {
      return false;
    }
  }
  if (headers.fragment == Fragment::kLater) {
    return true;
  }
  const bool ends_here = sluice_is_ipv6_extension(headers.protocol) == 0;
  return ends_here && (at <= SLUICE_HEADER_REACH_BYTES || sluice_has_ports(headers.protocol) == 0);
}

bool ReadIpv6(const uint8_t* data, uint32_t l3, uint32_t length_bytes, Headers& headers) {
  uint32_t at = l3 + SLUICE_IPV6_BYTES;
  if (at > length_bytes) {
    return false;
  }
  const auto& ip = HeaderAt<Ipv6Header>(data, l3);
  const uint32_t payload_bytes = ip.payload_bytes.host();
  uint32_t end = at + payload_bytes;
  if (payload_bytes == 0 && ip.next_header == SLUICE_PROTO_HOP_BY_HOP) [[unlikely]] {
    // A jumbogram (RFC 2675 section 3; net/ipv6/ip6_input.c: ip6_rcv_core).
    end = std::min(length_bytes, at + UINT16_MAX);
  }
  if (!ip.is_version6() || end > length_bytes) {
    return false;
  }
  headers.network = Network::kIpv6;
  headers.protocol = ip.next_header;
  if (sluice_is_ipv6_extension(ip.next_header) != 0 && !ReadIpv6Extensions(data, end, at, headers)) {
    return false;
  }
  headers.l4_offset = static_cast<uint16_t>(at);
  headers.l4_bytes = static_cast<uint16_t>(end - at);
  if (headers.fragment == Fragment::kLater) {
    return true;
  }
  const uint32_t most_bytes = headers.fragment == Fragment::kFirst ? UINT16_MAX : end - at;
  return ReadTransport<Network::kIpv6>(data + at, end - at, most_bytes, headers);
}

bool Read(const uint8_t* data, uint32_t length_bytes, Headers& headers) {
  uint32_t at = SLUICE_ETHERNET_BYTES;
  if (length_bytes < at) {
    return false;
  }
  uint16_t ethertype = HeaderAt<EthernetHeader>(data, 0).type.host();
  for (uint8_t tags = 0;; ++tags) {
    headers.ethertype = ethertype;
    headers.l3_offset = static_cast<uint8_t>(at);
    headers.vlan_tags = tags;
    if (ethertype == SLUICE_ETHERTYPE_IPV4) {
      return ReadIpv4(data, at, length_bytes, headers);
    }
    if (ethertype == SLUICE_ETHERTYPE_IPV6) {
      return ReadIpv6(data, at, length_bytes, headers);
    }
    if (sluice_is_tag(ethertype) == 0) {
      headers.network = Network::kOther;
      headers.l4_offset = static_cast<uint16_t>(at);
      return true;
    }
    if (tags == SLUICE_VLAN_TAGS_MAX || at + sizeof(VlanTag) > length_bytes) {
      return false;
    }
    const auto& tag = HeaderAt<VlanTag>(data, at);
    if (tags == 0 || headers.vlan == 0) {
      headers.vlan = tag.id();
    }
    ethertype = tag.type.host();
    at += sizeof(VlanTag);
  }
}

}  // namespace

void ParseAny(const uint8_t* data, uint32_t length_bytes, Headers& headers) {
  constexpr Headers kUnreadable = {.vlan = kNoVlan, .network = Network::kUnreadable};
  headers = kUnreadable;
  if (!Read(data, length_bytes, headers)) {
    headers = kUnreadable;
  }
}

}  // namespace sluice
