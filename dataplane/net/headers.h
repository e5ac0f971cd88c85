// The headers of a frame: their layout on the wire, and their places in a frame.
//
//   Headers headers = Parse(frame.data, frame.length_bytes);     the lane does this, once for each received frame
//   if (headers.network == Network::kIpv4 && headers.protocol == SLUICE_PROTO_TCP) {
//     auto& ip = HeaderAt<Ipv4Header>(frame.data, headers.l3_offset);
//     auto& tcp = HeaderAt<TcpHeader>(frame.data, headers.l4_offset);
//   }
//
// Parse checks every length. The caller reads the headers that Headers names without another check:
//   - kIpv4, kIpv6: the IP header, its options or extension headers and the packet's end are in the frame;
//   - TCP, UDP, UDP-Lite, SCTP, ICMP and ICMPv6, except in later fragments: the fixed header is in the packet, and so
//     are TCP's options unless the packet is a first fragment.
// A frame that ends within a header, whose lengths contradict each other, or that has more headers than the walk
// follows, is *unreadable*: a function must not take it for one without the fields that it looks for. bpf/parse.h has
// the same rules. XDP drops malformed frames, and the others where a rule or a list asks for a field that was not read,
// so the dataplane sees the others where none does.
// Parse checks neither checksums nor the bodies of ARP and neighbour discovery, and does not look into tunnels.
//
// Pure; any thread.
#ifndef SLUICE_DATAPLANE_NET_HEADERS_H_
#define SLUICE_DATAPLANE_NET_HEADERS_H_

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "bpf/header_numbers.h"
#include "dataplane/net/byte_order.h"

namespace sluice {

// --- on the wire: trivial, of alignment 1 ---

struct MacAddress {
  uint8_t bytes[6];
  bool operator==(const MacAddress&) const = default;
  bool is_group() const { return (bytes[0] & 1) != 0; }
};

struct EthernetHeader {
  MacAddress destination;
  MacAddress source;
  be16 type;

  void SwapMacs() {
    const MacAddress was = destination;
    destination = source;
    source = was;
  }
};

// Follows SLUICE_ETHERTYPE_VLAN or SLUICE_ETHERTYPE_QINQ, of the Ethernet header or of another tag.
struct VlanTag {
  be16 control;  // priority, drop eligible, id
  be16 type;     // the ethertype of the next header
  uint16_t id() const { return control.host() & SLUICE_VLAN_ID_MASK; }
};

struct Ipv4Header {
  uint8_t version_and_words;  // lower half: header length in 4 bytes
  uint8_t traffic_class;
  be16 total_bytes;
  be16 id;
  be16 fragment;  // flags and offset: SLUICE_IPV4_MORE_FRAGMENTS, SLUICE_IPV4_FRAGMENT_OFFSET
  uint8_t ttl;
  uint8_t protocol;
  be16 checksum;
  be32 source;
  be32 destination;

  // True for version 4 and a header of at least 5 words.
  bool is_version4() const { return version_and_words >= 0x45 && version_and_words <= 0x4f; }
  uint32_t header_bytes() const { return (version_and_words & 0x0fU) * 4; }
};

struct Ipv6Address {
  uint8_t bytes[16];
  bool operator==(const Ipv6Address&) const = default;
};

struct Ipv6Header {
  be32 version_class_label;
  be16 payload_bytes;  // behind this header
  uint8_t next_header;
  uint8_t hop_limit;
  Ipv6Address source;
  Ipv6Address destination;

  bool is_version6() const { return version_class_label.host() >> 28 == 6; }
};

// Hop-by-hop and destination options, routing, AH. The fragment header has no length.
struct Ipv6Extension {
  uint8_t next_header;
  uint8_t length;  // sluice_ipv6_extension_bytes
  uint8_t body[6];
};

struct Ipv6FragmentHeader {
  uint8_t next_header;
  uint8_t reserved;
  be16 fragment;  // offset and flag: SLUICE_IPV6_FRAGMENT_OFFSET, SLUICE_IPV6_MORE_FRAGMENTS
  be32 id;
};

// The start of TCP, UDP, UDP-Lite and SCTP.
struct Ports {
  be16 source;
  be16 destination;
};

enum TcpFlag : uint8_t {
  kTcpFin = 0x01,
  kTcpSyn = 0x02,
  kTcpRst = 0x04,
  kTcpPsh = 0x08,
  kTcpAck = 0x10,
  kTcpUrg = 0x20,
  kTcpEce = 0x40,
  kTcpCwr = 0x80,
};

struct TcpHeader {
  Ports ports;
  be32 sequence;
  be32 acknowledgement;
  uint8_t words;  // upper half: header length in 4 bytes
  uint8_t flags;  // enum TcpFlag
  be16 window;
  be16 checksum;
  be16 urgent;

  uint32_t header_bytes() const { return (words >> 4) * 4U; }
};

struct UdpHeader {
  Ports ports;
  be16 length_bytes;  // of header and payload
  be16 checksum;      // 0: none
};

// ICMP and ICMPv6.
struct IcmpHeader {
  uint8_t type;
  uint8_t code;
  be16 checksum;
  be32 rest;
};

static_assert(sizeof(EthernetHeader) == SLUICE_ETHERNET_BYTES && sizeof(VlanTag) == SLUICE_TAG_BYTES);
static_assert(sizeof(Ipv4Header) == SLUICE_IPV4_BYTES && sizeof(Ipv6Header) == SLUICE_IPV6_BYTES);
static_assert(sizeof(Ipv6Extension) == 8 && sizeof(Ipv6FragmentHeader) == SLUICE_IPV6_FRAGMENT_BYTES);
static_assert(sizeof(TcpHeader) == SLUICE_TCP_BYTES && sizeof(UdpHeader) == SLUICE_UDP_BYTES);
static_assert(sizeof(IcmpHeader) == SLUICE_ICMP_BYTES && sizeof(Ports) == 4);

// Returns the header at this offset of a frame. The caller has made sure that it is there.
template <typename Header>
Header& HeaderAt(uint8_t* data, uint32_t offset) {
  static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
  return *reinterpret_cast<Header*>(data + offset);
}
template <typename Header>
const Header& HeaderAt(const uint8_t* data, uint32_t offset) {
  static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
  return *reinterpret_cast<const Header*>(data + offset);
}

// --- in a frame ---

enum class Network : uint8_t {
  kUnreadable,  // `vlan` is kNoVlan, all other members are 0
  kOther,       // an ethertype other than IP's, or an 802.3 length
  kIpv4,
  kIpv6,
};

enum class Fragment : uint8_t {
  kNone,   // a whole packet; also with an IPv6 fragment header that says so (an atomic fragment, RFC 6946)
  kFirst,  // has the transport header, whose lengths are those of the whole packet
  kLater,  // has no transport header
};

inline constexpr uint16_t kNoVlan = 0xffff;

// Offsets count from the frame's first byte as received; they do not follow a function that moves the start. Small, as
// there is one for every received frame; the members that nearly all frames have in common stand together.
struct Headers {
  uint32_t flow_hash;  // flow_hash.h; 0: not computed
  uint16_t vlan;       // id of the outermost tag that has one; 0: all are priority tags; kNoVlan: there is no tag
  uint16_t ethertype;  // behind the tags; host order
  uint16_t l4_offset;  // behind the IP header with options or extension headers; kOther: as l3_offset
  uint8_t l3_offset;   // behind Ethernet and tags
  uint8_t vlan_tags;   // how many
  Network network;
  Fragment fragment;
  uint16_t l4_bytes;  // from l4_offset to the packet's end; Ethernet's padding does not count. kOther: 0
  uint8_t protocol;   // of the header at l4_offset: SLUICE_PROTO_*. kOther: 0
  uint8_t tcp_flags;  // enum TcpFlag; 0 unless there is a TCP header

  bool operator==(const Headers&) const = default;
  bool has_ip() const { return network >= Network::kIpv4; }
  // True for TCP, UDP, UDP-Lite and SCTP, except in later fragments: HeaderAt<Ports> is at l4_offset.
  bool has_ports() const { return fragment != Fragment::kLater && sluice_has_ports(protocol) != 0; }
};
static_assert(std::is_trivial_v<Headers> && sizeof(Headers) == 20);

// Walks at most SLUICE_VLAN_TAGS_MAX tags, SLUICE_IPV6_EXTENSIONS_MAX extension headers and SLUICE_HEADER_REACH_BYTES.
// A frame with more is unreadable. Sets `flow_hash` to 0.
void ParseAny(const uint8_t* data, uint32_t length_bytes, Headers& headers);

// Does the same for plain frames, which are nearly all: untagged TCP or UDP over IPv4 without options. Returns false,
// with nothing written, for any other. Inline, so that code behind it knows a plain frame's offsets when compiling.
inline bool ParsePlain(const uint8_t* data, uint32_t length_bytes, Headers& headers) {
  constexpr uint32_t kL3 = SLUICE_ETHERNET_BYTES;
  constexpr uint32_t kL4 = kL3 + SLUICE_IPV4_BYTES;
  constexpr be16 kFragment(SLUICE_IPV4_FRAGMENT);
  if (length_bytes < kL4 + SLUICE_TCP_BYTES) {
    return false;
  }
  const auto& ip = HeaderAt<Ipv4Header>(data, kL3);
  const uint32_t total_bytes = ip.total_bytes.host();
  const uint32_t l4_bytes = total_bytes - SLUICE_IPV4_BYTES;
  if (HeaderAt<EthernetHeader>(data, 0).type != be16(SLUICE_ETHERTYPE_IPV4) || ip.version_and_words != 0x45 ||
      (ip.fragment.wire() & kFragment.wire()) != 0 || total_bytes > length_bytes - kL3) {
    return false;
  }
  const uint8_t protocol = ip.protocol;
  uint8_t tcp_flags = 0;
  if (protocol == SLUICE_PROTO_TCP) {
    const auto& tcp = HeaderAt<TcpHeader>(data, kL4);
    if (tcp.header_bytes() < SLUICE_TCP_BYTES || total_bytes < SLUICE_IPV4_BYTES + tcp.header_bytes()) {
      return false;
    }
    tcp_flags = tcp.flags;
  } else if (protocol != SLUICE_PROTO_UDP || total_bytes < SLUICE_IPV4_BYTES + SLUICE_UDP_BYTES ||
             HeaderAt<UdpHeader>(data, kL4).length_bytes.host() != l4_bytes) {
    return false;
  }
  headers = Headers{.flow_hash = 0,
                    .vlan = kNoVlan,
                    .ethertype = SLUICE_ETHERTYPE_IPV4,
                    .l4_offset = kL4,
                    .l3_offset = kL3,
                    .vlan_tags = 0,
                    .network = Network::kIpv4,
                    .fragment = Fragment::kNone,
                    .l4_bytes = static_cast<uint16_t>(l4_bytes),
                    .protocol = protocol,
                    .tcp_flags = tcp_flags};
  return true;
}

inline Headers Parse(const uint8_t* data, uint32_t length_bytes) {
  Headers headers;
  if (!ParsePlain(data, length_bytes, headers)) {
    ParseAny(data, length_bytes, headers);
  }
  return headers;
}

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_NET_HEADERS_H_
