// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Sizes and numbers of the headers that both sides read, and the arithmetic that must be the same on both: compiled by
// clang for BPF and by g++ for the daemons (dataplane/net/headers.h has more for them).
//
// All sizes are in bytes and without options. Pure: no maps, no contexts.
#ifndef SLUICE_BPF_HEADER_NUMBERS_H_
#define SLUICE_BPF_HEADER_NUMBERS_H_

#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#define SLUICE_ETHERNET_BYTES 14
#define SLUICE_TAG_BYTES 4
#define SLUICE_IPV4_BYTES 20
#define SLUICE_IPV6_BYTES 40
#define SLUICE_IPV6_FRAGMENT_BYTES 8
#define SLUICE_TCP_BYTES 20
#define SLUICE_UDP_BYTES 8
#define SLUICE_SCTP_BYTES 12
#define SLUICE_ICMP_BYTES 8

// IEEE 802 numbers, host order.
#define SLUICE_ETHERTYPE_IPV4 0x0800
#define SLUICE_ETHERTYPE_ARP 0x0806
#define SLUICE_ETHERTYPE_VLAN 0x8100
#define SLUICE_ETHERTYPE_IPV6 0x86dd
#define SLUICE_ETHERTYPE_QINQ 0x88a8
#define SLUICE_ETHERTYPE_EXPERIMENTAL 0x88b5  // local experimental EtherType 1 (IEEE 802)

// IANA protocol numbers; IPv6 extension headers have theirs among them.
#define SLUICE_PROTO_HOP_BY_HOP 0
#define SLUICE_PROTO_ICMP 1
#define SLUICE_PROTO_TCP 6
#define SLUICE_PROTO_UDP 17
#define SLUICE_PROTO_ROUTING 43
#define SLUICE_PROTO_FRAGMENT 44
#define SLUICE_PROTO_AH 51
#define SLUICE_PROTO_ICMPV6 58
#define SLUICE_PROTO_DESTINATION_OPTIONS 60
#define SLUICE_PROTO_SCTP 132
#define SLUICE_PROTO_UDPLITE 136

// IPv4 options (RFC 791 section 3.1).
#define SLUICE_IPV4_OPTIONS_BYTES 40  // at most
#define SLUICE_OPTION_END 0
#define SLUICE_OPTION_NO_OPERATION 1
#define SLUICE_OPTION_LOOSE_ROUTE 131
#define SLUICE_OPTION_STRICT_ROUTE 137

// DHCP over IPv4 (RFC 2131 sections 2 and 4.1).
#define SLUICE_PORT_DHCP_SERVER 67
#define SLUICE_PORT_DHCP_CLIENT 68
#define SLUICE_DHCP_CLIENT_MAC_OFFSET 28  // `chaddr`, behind the UDP header

// 224.0.0.1, host order (RFC 1112 section 4).
#define SLUICE_GROUP_ALL_HOSTS 0xe0000001

// Masks of the fragment fields, in host order (RFC 791 section 3.1, RFC 8200 section 4.5).
#define SLUICE_IPV4_MORE_FRAGMENTS 0x2000
#define SLUICE_IPV4_FRAGMENT_OFFSET 0x1fff
#define SLUICE_IPV4_FRAGMENT (SLUICE_IPV4_MORE_FRAGMENTS | SLUICE_IPV4_FRAGMENT_OFFSET)
#define SLUICE_IPV6_MORE_FRAGMENTS 0x0001
#define SLUICE_IPV6_FRAGMENT_OFFSET 0xfff8

// Headers begin within this many bytes from the frame's start, or are not read. Ethernet, three tags, IPv6, eight
// ordinary extension headers and a full TCP header take about 250.
#define SLUICE_HEADER_REACH_BYTES 512

#define SLUICE_VLAN_ID_MASK 0x0fff
#define SLUICE_VLAN_PRIORITY_MASK 0xf000
// Tags of one frame that are read; QinQ has two. A frame with more is unreadable. clsact counts the tag in the skb's
// metadata too, so that it sees the packet as XDP and the dataplane do.
#define SLUICE_VLAN_TAGS_MAX 3
// Extension headers of one IPv6 packet that are read. RFC 8200 section 4.1 lists seven, each at most once but one. A
// packet with more is unreadable.
#define SLUICE_IPV6_EXTENSIONS_MAX 8

// Loads from headers, which are not aligned. clang would load them for BPF byte by byte, which the machine does not
// need; g++ knows.
#ifdef __bpf__
static __always_inline __be16 sluice_load_be16(const __u8* at) {
  return *(const __be16*)at;
}
static __always_inline __be32 sluice_load_be32(const __u8* at) {
  return *(const __be32*)at;
}
#else
static __always_inline __be16 sluice_load_be16(const __u8* at) {
  __be16 word;
  __builtin_memcpy(&word, at, sizeof(word));
  return word;
}
static __always_inline __be32 sluice_load_be32(const __u8* at) {
  __be32 word;
  __builtin_memcpy(&word, at, sizeof(word));
  return word;
}
#endif

// Loads 16 bits and returns them in host order, which is little-endian on the machines that we support.
static __always_inline __u16 sluice_load16(const __u8* at) {
  return __builtin_bswap16(sluice_load_be16(at));
}

// The two ids that skb_vlan_untag moves into the metadata (include/linux/if_vlan.h: eth_type_vlan).
static __always_inline int sluice_is_tag(__u16 ethertype) {
  return ethertype == SLUICE_ETHERTYPE_VLAN || ethertype == SLUICE_ETHERTYPE_QINQ;
}

static __always_inline int sluice_is_ipv6_extension(__u8 next) {
  return next == SLUICE_PROTO_HOP_BY_HOP || next == SLUICE_PROTO_ROUTING || next == SLUICE_PROTO_DESTINATION_OPTIONS ||
         next == SLUICE_PROTO_AH || next == SLUICE_PROTO_FRAGMENT;
}

// The protocols that begin with the ports.
static __always_inline int sluice_has_ports(__u8 proto) {
  return proto == SLUICE_PROTO_TCP || proto == SLUICE_PROTO_UDP || proto == SLUICE_PROTO_SCTP ||
         proto == SLUICE_PROTO_UDPLITE;
}

// Returns the length of any extension header but the fragment header, which has none. `length` is the header's second
// byte: AH counts units of 4 bytes beyond the first 8 (RFC 4302 section 2.2), the others units of 8.
static __always_inline __u32 sluice_ipv6_extension_bytes(__u8 next, __u8 length) {
  __u32 bytes = 8 + length * 8;
  if (next == SLUICE_PROTO_AH) {
    bytes = 8 + length * 4;
  }
  return bytes;
}

// Folds a ones' complement sum into 16 bits: adding the halves in either order leaves the end-around carry in the upper
// one. The result is 0 only for a sum of 0.
static __always_inline __u16 sluice_fold(__u32 sum) {
  sum += sum << 16 | sum >> 16;
  return (__u16)(sum >> 16);
}

#endif  // SLUICE_BPF_HEADER_NUMBERS_H_
