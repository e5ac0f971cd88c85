// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// IPv4, IPv6 with its extension headers, and the transport header behind either.
//
// `end` is the offset of the IP packet's end in the frame. Ethernet pads short frames, so a header must end before
// `end`, not merely before the frame's end. Callers check that first: header_at() then fails only when the bytes are
// not in the linear part.
//
// The __noinline functions are global: the verifier proves each one once, for any arguments. Inlined, they would make
// it walk every tail of the parser for every head and run out of its million instructions. Their `packet` is never
// NULL; the verifier's proof needs the checks.
#ifndef SLUICE_BPF_PARSE_IP_H_
#define SLUICE_BPF_PARSE_IP_H_

#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/packet.h"

#define ICMPV6_ROUTER_SOLICITATION 133
#define ICMPV6_NEIGHBOUR_SOLICITATION 135
#define ICMPV6_NEIGHBOUR_ADVERTISEMENT 136
#define ICMPV6_REDIRECT 137

// TCP, UDP, UDP-Lite and SCTP all begin with the ports.
struct ports {
  __be16 src_be;
  __be16 dst_be;
};

struct tcp_header {
  struct ports ports;
  __be32 sequence_be;
  __be32 acknowledged_be;
  __u8 header_words;  // upper four bits: header length in 32-bit words
  __u8 flags;
  __be16 window_be;
  __be16 checksum_be;
  __be16 urgent_be;
};

struct udp_header {
  struct ports ports;
  __be16 length_be;
  __be16 checksum_be;
};

struct sctp_header {
  struct ports ports;
  __be32 tag_be;
  __be32 checksum_be;
};

struct icmp_header {
  __u8 type;
  __u8 code;
  __be16 checksum_be;
  __be32 body_be;
};

// Hop-by-hop, routing, destination options and AH have their length in one place.
struct ipv6_extension {
  __u8 next;
  __u8 length;  // in units of 8 bytes without the first 8; AH: of 4 bytes without the first 8
  __u8 body[6];
};

struct ipv6_fragment {
  __u8 next;
  __u8 reserved;
  __be16 offset_be;
  __be32 id_be;
};

_Static_assert(sizeof(struct iphdr) == SLUICE_IPV4_BYTES && sizeof(struct ipv6hdr) == SLUICE_IPV6_BYTES &&
                   sizeof(struct ipv6_fragment) == SLUICE_IPV6_FRAGMENT_BYTES,
               "sizes of the network headers");
_Static_assert(sizeof(struct tcp_header) == SLUICE_TCP_BYTES && sizeof(struct udp_header) == SLUICE_UDP_BYTES &&
                   sizeof(struct sctp_header) == SLUICE_SCTP_BYTES && sizeof(struct icmp_header) == SLUICE_ICMP_BYTES,
               "sizes of the transport headers");

// Returns the `size` bytes at `offset`, or NULL if they are out of reach or not in the linear part. The
// reach also gives the verifier its bound on the variable part of a packet pointer.
static __always_inline const void* header_at(const struct frame_view* view, __u32 offset, __u32 size) {
  __u64 bounded = offset;
  barrier_var(bounded);  // or clang bounds one copy of the offset and adds another
  if (bounded > SLUICE_HEADER_REACH_BYTES) {
    return NULL;
  }
  const void* header = view->data + bounded;
  return header + size > view->data_end ? NULL : header;
}

static __always_inline void set_ports(const struct ports* ports, struct packet* packet) {
  packet->src_port = bpf_ntohs(ports->src_be);
  packet->dst_port = bpf_ntohs(ports->dst_be);
  packet->fields |= SLUICE_MATCH_PORTS;
  packet->unread &= ~SLUICE_MATCH_PORTS;
}

static __always_inline void set_proto(__u8 proto, struct packet* packet) {
  packet->proto = proto;
  packet->fields |= SLUICE_MATCH_PROTO;
  packet->unread &= ~SLUICE_MATCH_PROTO;
}

// The transport header is in the first fragment. An IPv6 fragment that begins within an extension header leaves the
// protocol unread, too.
static __always_inline void set_later_fragment(struct packet* packet) {
  packet->fragment = SLUICE_FRAGMENT_LATER;
  if (!(packet->unread & SLUICE_MATCH_PROTO) && !sluice_has_ports(packet->proto)) {
    packet->unread &= ~SLUICE_MATCH_PORTS;
  }
}

// The result for a packet that ends within a header. The stack sees the rest of a first fragment's headers once it has
// all fragments.
static __always_inline enum parse_result ends_within(bool fragment) {
  return fragment ? PARSED : PARSE_MALFORMED;
}

static __always_inline enum parse_result parse_tcp(const struct frame_view* view, __u32 offset, __u32 end,
                                                   bool fragment, struct packet* packet) {
  if (offset + sizeof(struct tcp_header) > end) {
    return ends_within(fragment);
  }
  const struct tcp_header* tcp = header_at(view, offset, sizeof(*tcp));
  if (!tcp) {
    return PARSE_OUT_OF_REACH;
  }
  __u32 header_bytes = (tcp->header_words >> 4) * 4;
  if (header_bytes < sizeof(*tcp)) {
    return PARSE_MALFORMED;
  }
  if (!fragment && offset + header_bytes > end) {
    return PARSE_MALFORMED;
  }
  set_ports(&tcp->ports, packet);
  packet->payload_offset = offset + header_bytes;
  return PARSED;
}

// RFC 2131, section 2. `offset` is that of the UDP header.
static __always_inline enum parse_result parse_dhcp(const struct frame_view* view, __u32 offset, __u32 end,
                                                    struct packet* packet) {
  offset += sizeof(struct udp_header) + SLUICE_DHCP_CLIENT_MAC_OFFSET;
  if (offset + sizeof(packet->dhcp_client_mac) > end) {
    return PARSED;
  }
  const __u8* client = header_at(view, offset, sizeof(packet->dhcp_client_mac));
  if (!client) {
    return PARSE_OUT_OF_REACH;
  }
  __builtin_memcpy(packet->dhcp_client_mac, client, sizeof(packet->dhcp_client_mac));
  packet->dhcp_answer = 1;
  return PARSED;
}

static __always_inline enum parse_result parse_udp(const struct frame_view* view, __u32 offset, __u32 end,
                                                   bool fragment, struct packet* packet) {
  if (offset + sizeof(struct udp_header) > end) {
    return ends_within(fragment);
  }
  const struct udp_header* udp = header_at(view, offset, sizeof(*udp));
  if (!udp) {
    return PARSE_OUT_OF_REACH;
  }
  __u32 length = bpf_ntohs(udp->length_be);
  // Length 0 over IPv6 is a jumbogram (RFC 2675, __udp6_lib_rcv).
  bool jumbo = length == 0 && packet->dst.family == 6;
  if (!view->merged && !jumbo) {
    if (length < sizeof(*udp)) {
      return PARSE_MALFORMED;
    }
    if (!fragment && offset + length > end) {
      return PARSE_MALFORMED;
    }
  }
  set_ports(&udp->ports, packet);
  packet->payload_offset = offset + sizeof(*udp);
  if (packet->src_port == SLUICE_PORT_DHCP_SERVER && packet->dst_port == SLUICE_PORT_DHCP_CLIENT &&
      packet->dst.family == 4) {
    return parse_dhcp(view, offset, end, packet);
  }
  return PARSED;
}

static __always_inline enum parse_result parse_ports(const struct frame_view* view, __u32 offset, __u32 end,
                                                     __u32 header_bytes, bool fragment, struct packet* packet) {
  if (offset + header_bytes > end) {
    return ends_within(fragment);
  }
  const struct ports* ports = header_at(view, offset, sizeof(*ports));
  if (!ports) {
    return PARSE_OUT_OF_REACH;
  }
  set_ports(ports, packet);
  packet->payload_offset = offset + header_bytes;
  return PARSED;
}

static __always_inline enum parse_result parse_icmp(const struct frame_view* view, __u32 offset, __u32 end,
                                                    bool fragment, struct packet* packet) {
  if (offset + sizeof(struct icmp_header) > end) {
    return ends_within(fragment);
  }
  packet->payload_offset = offset + sizeof(struct icmp_header);
  if (packet->dst.family == 4) {
    return PARSED;
  }

  const struct icmp_header* icmp = header_at(view, offset, sizeof(*icmp));
  if (!icmp) {
    return PARSE_OUT_OF_REACH;
  }
  if (icmp->type < ICMPV6_ROUTER_SOLICITATION || icmp->type > ICMPV6_REDIRECT) {
    return PARSED;
  }
  packet->neighbour = 1;
  if (icmp->type != ICMPV6_NEIGHBOUR_SOLICITATION && icmp->type != ICMPV6_NEIGHBOUR_ADVERTISEMENT) {
    return PARSED;
  }

  offset += sizeof(*icmp);
  if (offset + sizeof(struct in6_addr) > end) {
    return ends_within(fragment);
  }
  const struct in6_addr* target = header_at(view, offset, sizeof(*target));
  if (!target) {
    return PARSE_OUT_OF_REACH;
  }
  __builtin_memcpy(packet->asked_for.addr_be, target, sizeof(*target));
  packet->asked_for.family = 6;
  packet->payload_offset = offset + sizeof(*target);
  return PARSED;
}

// `fragment`: the packet is the first of several fragments. It has the header, whose lengths are those of the whole.
__noinline enum parse_result sluice_parse_transport(frame_ctx* ctx, struct packet* packet, __u32 offset, __u32 end,
                                                    __u32 fragment) {
  if (!packet) {
    return PARSE_OUT_OF_REACH;
  }
  struct frame_view view = view_of(ctx);
  packet->payload_offset = offset;
  if (!sluice_has_ports(packet->proto)) {
    packet->unread &= ~SLUICE_MATCH_PORTS;
  }
  switch (packet->proto) {
    case SLUICE_PROTO_TCP:
      return parse_tcp(&view, offset, end, fragment, packet);
    case SLUICE_PROTO_UDP:
      return parse_udp(&view, offset, end, fragment, packet);
    case SLUICE_PROTO_SCTP:
      return parse_ports(&view, offset, end, sizeof(struct sctp_header), fragment, packet);
    case SLUICE_PROTO_UDPLITE:
      return parse_ports(&view, offset, end, sizeof(struct udp_header), fragment, packet);
    case SLUICE_PROTO_ICMP:
      return packet->dst.family == 4 ? parse_icmp(&view, offset, end, fragment, packet) : PARSED;
    case SLUICE_PROTO_ICMPV6:
      return packet->dst.family == 6 ? parse_icmp(&view, offset, end, fragment, packet) : PARSED;
    default:
      return PARSED;
  }
}

// Returns 1 for options with a loose or strict source route (RFC 791 section 3.1), or ones that cannot be read to their
// end. `end` is that of the IP header.
__noinline __u32 sluice_has_source_route(frame_ctx* ctx, __u32 offset, __u32 end) {
  struct frame_view view = view_of(ctx);
  for (int i = 0; i < SLUICE_IPV4_OPTIONS_BYTES; i++) {
    offset &= 2 * SLUICE_HEADER_REACH_BYTES - 1;  // one range for the verifier, whichever way it came here
    if (offset >= end) {
      return 0;
    }
    const __u8* type = header_at(&view, offset, 1);
    if (!type) {
      return 1;
    }
    if (*type == SLUICE_OPTION_END) {
      return 0;
    }
    if (*type == SLUICE_OPTION_NO_OPERATION) {
      offset++;
      continue;
    }
    const __u8* length = header_at(&view, offset + 1, 1);
    if (*type == SLUICE_OPTION_LOOSE_ROUTE || *type == SLUICE_OPTION_STRICT_ROUTE || !length || *length < 2) {
      return 1;
    }
    offset += *length;
  }
  return offset < end;
}

__noinline enum parse_result sluice_parse_ipv4(frame_ctx* ctx, struct packet* packet, __u32 offset) {
  if (!packet) {
    return PARSE_OUT_OF_REACH;
  }
  struct frame_view view = view_of(ctx);
  if (offset + sizeof(struct iphdr) > view.length) {
    return PARSE_MALFORMED;
  }
  const struct iphdr* ip = header_at(&view, offset, sizeof(*ip));
  if (!ip) {
    return PARSE_OUT_OF_REACH;
  }
  __u32 header_bytes = ip->ihl * 4;
  // IPv4 total length is 0 in a merged packet above 64 KiB (BIG TCP, iph_set_totlen).
  __u32 end = view.merged ? view.length : offset + bpf_ntohs(ip->tot_len);
  if (ip->version != 4 || header_bytes < sizeof(*ip)) {
    return PARSE_MALFORMED;
  }
  if (offset + header_bytes > end || end > view.length) {
    return PARSE_MALFORMED;
  }

  packet->src.addr_be[0] = ip->saddr;
  packet->src.family = 4;
  packet->dst.addr_be[0] = ip->daddr;
  packet->dst.family = 4;
  packet->proto = ip->protocol;
  packet->fields |= SLUICE_MATCH_SRC | SLUICE_MATCH_DST | SLUICE_MATCH_PROTO | SLUICE_MATCH_FRAGMENT;
  packet->unread = SLUICE_MATCH_PORTS;
  __u32 fragment = bpf_ntohs(ip->frag_off);
  if (header_bytes > sizeof(*ip) && sluice_has_source_route(ctx, offset + sizeof(*ip), offset + header_bytes)) {
    packet->unread |= SLUICE_MATCH_DST;
  }
  offset += header_bytes;
  packet->payload_offset = offset;

  if (fragment & SLUICE_IPV4_FRAGMENT_OFFSET) {
    set_later_fragment(packet);
    return PARSED;
  }
  fragment &= SLUICE_IPV4_MORE_FRAGMENTS;
  packet->fragment = fragment ? SLUICE_FRAGMENT_FIRST : SLUICE_FRAGMENT_NO;
  return sluice_parse_transport(ctx, packet, offset, end, fragment);
}

// Walks to the last header.
__noinline enum parse_result sluice_parse_ipv6_chain(frame_ctx* ctx, struct packet* packet, __u32 offset, __u32 end,
                                                     __u8 next) {
  if (!packet) {
    return PARSE_OUT_OF_REACH;
  }
  struct frame_view view = view_of(ctx);
  __u32 fragment = 0;
  for (int i = 0; i < SLUICE_IPV6_EXTENSIONS_MAX && sluice_is_ipv6_extension(next); i++) {
    if (offset + sizeof(struct ipv6_extension) > end) {
      return ends_within(fragment);
    }
    const struct ipv6_extension* extension = header_at(&view, offset, sizeof(*extension));
    if (!extension) {
      return PARSE_OUT_OF_REACH;
    }

    __u32 header_bytes = sluice_ipv6_extension_bytes(next, extension->length);
    if (next == SLUICE_PROTO_FRAGMENT) {
      header_bytes = SLUICE_IPV6_FRAGMENT_BYTES;
      __u32 position = bpf_ntohs(((const struct ipv6_fragment*)extension)->offset_be);
      packet->fields |= SLUICE_MATCH_FRAGMENT;
      packet->unread &= ~SLUICE_MATCH_FRAGMENT;
      if (position & SLUICE_IPV6_FRAGMENT_OFFSET) {
        packet->payload_offset = offset + header_bytes;
        if (!sluice_is_ipv6_extension(extension->next)) {
          set_proto(extension->next, packet);
        }
        set_later_fragment(packet);
        return PARSED;
      }
      fragment = position & SLUICE_IPV6_MORE_FRAGMENTS;
      packet->fragment = fragment ? SLUICE_FRAGMENT_FIRST : SLUICE_FRAGMENT_NO;
    }
    // Segments left: the fourth byte of every routing header (RFC 8200 section 4.4).
    if (next == SLUICE_PROTO_ROUTING && extension->body[1]) {
      packet->unread |= SLUICE_MATCH_DST;
    }
    next = extension->next;
    offset += header_bytes;
    if (offset > end) {
      return ends_within(fragment);
    }
  }
  packet->payload_offset = offset;
  if (sluice_is_ipv6_extension(next)) {
    return PARSED;
  }
  set_proto(next, packet);
  packet->fields |= SLUICE_MATCH_FRAGMENT;
  packet->unread &= ~SLUICE_MATCH_FRAGMENT;
  return sluice_parse_transport(ctx, packet, offset, end, fragment);
}

__noinline enum parse_result sluice_parse_ipv6(frame_ctx* ctx, struct packet* packet, __u32 offset) {
  if (!packet) {
    return PARSE_OUT_OF_REACH;
  }
  struct frame_view view = view_of(ctx);
  if (offset + sizeof(struct ipv6hdr) > view.length) {
    return PARSE_MALFORMED;
  }
  const struct ipv6hdr* ip = header_at(&view, offset, sizeof(*ip));
  if (!ip) {
    return PARSE_OUT_OF_REACH;
  }
  if (ip->version != 6) {
    return PARSE_MALFORMED;
  }

  __builtin_memcpy(packet->src.addr_be, &ip->saddr, sizeof(ip->saddr));
  packet->src.family = 6;
  __builtin_memcpy(packet->dst.addr_be, &ip->daddr, sizeof(ip->daddr));
  packet->dst.family = 6;
  packet->fields |= SLUICE_MATCH_SRC | SLUICE_MATCH_DST;
  packet->unread = SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS | SLUICE_MATCH_FRAGMENT;

  __u32 payload_bytes = bpf_ntohs(ip->payload_len);
  // Payload length 0 before hop-by-hop options is a jumbogram (RFC 2675, ip6_rcv_core).
  bool jumbo = payload_bytes == 0 && ip->nexthdr == SLUICE_PROTO_HOP_BY_HOP;
  __u8 next = ip->nexthdr;
  offset += sizeof(*ip);
  packet->payload_offset = offset;
  __u32 end = view.merged || jumbo ? view.length : offset + payload_bytes;
  if (end > view.length) {
    return PARSE_MALFORMED;
  }
  return sluice_parse_ipv6_chain(ctx, packet, offset, end, next);
}

#endif  // SLUICE_BPF_PARSE_IP_H_
