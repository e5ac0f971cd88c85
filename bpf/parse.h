// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The parser that XDP and clsact share: Ethernet, VLAN tags, then ARP, IPv4 or IPv6 (parse_ip.h).
//
// A frame is malformed when its lengths contradict each other: a header does not fit into the packet around it, or a
// length field is smaller than its own header or larger than the frame. The kernel would drop all of these too
// (ip_rcv_core, ip6_rcv_core, tcp_v4_rcv, __udp4_lib_rcv, icmpv6_rcv, ndisc_rcv), so nothing is lost that the stack
// would have taken. An unknown ethertype or protocol is not malformed.
//
// A field is unread when its header is there, or may be there, and the parser cannot come to it:
//
//   more tags than SLUICE_VLAN_TAGS_MAX            everything behind them; the VLAN id, too, if these are priority tags
//   more extension headers than SLUICE_IPV6_EXTENSIONS_MAX, or a header behind SLUICE_HEADER_REACH_BYTES
//                                                  the protocol and all behind it
//   a first fragment that ends before the ports    the ports (RFC 1858), or the protocol as well (RFC 7112)
//   a later fragment                               the ports, which the first one has
//   a source route, a routing header with segments left
//                                                  the destination: the packet goes to another one next
//
// ESP, AH over IPv4 and tunnels (IP in IP, GRE, MPLS, PPPoE, VXLAN) are protocols of their own. Nothing looks into
// them.
//
// dataplane/net/headers.h reads frames by the same rules; tests/bpf/headers_test.cc compares the two.
#ifndef SLUICE_BPF_PARSE_H_
#define SLUICE_BPF_PARSE_H_

#include <linux/if_ether.h>

#include <bpf/bpf_endian.h>

#include "bpf/packet.h"
#include "bpf/parse_ip.h"

struct vlan_tag {
  __be16 tci_be;
  __be16 ethertype_be;
};

_Static_assert(sizeof(struct ethhdr) == SLUICE_ETHERNET_BYTES && sizeof(struct vlan_tag) == SLUICE_TAG_BYTES,
               "sizes of the link layer's headers");

// RFC 826. (linux/if_arp.h would pull in libc.)
struct arp_header {
  __be16 hardware_be;
  __be16 protocol_be;
  __u8 hardware_bytes;
  __u8 protocol_bytes;
  __be16 operation_be;
};

// The addresses behind an arp_header of IPv4 over Ethernet.
struct arp_addresses {
  __u8 sender_mac[ETH_ALEN];
  __u8 sender_ip[4];
  __u8 target_mac[ETH_ALEN];
  __u8 target_ip[4];
};

__noinline enum parse_result sluice_parse_arp(frame_ctx* ctx, struct packet* packet, __u32 offset) {
  if (!packet) {
    return PARSE_OUT_OF_REACH;
  }
  struct frame_view view = view_of(ctx);
  packet->neighbour = 1;
  if (offset + sizeof(struct arp_header) > view.length) {
    return PARSE_MALFORMED;
  }
  const struct arp_header* arp = header_at(&view, offset, sizeof(*arp));
  if (!arp) {
    return PARSE_OUT_OF_REACH;
  }
  __u32 addresses_bytes = 2 * (arp->hardware_bytes + arp->protocol_bytes);
  offset += sizeof(*arp);
  if (offset + addresses_bytes > view.length) {
    return PARSE_MALFORMED;
  }
  if (arp->protocol_be != bpf_htons(SLUICE_ETHERTYPE_IPV4) || arp->hardware_bytes != ETH_ALEN ||
      arp->protocol_bytes != 4) {
    return PARSED;
  }

  const struct arp_addresses* addresses = header_at(&view, offset, sizeof(*addresses));
  if (!addresses) {
    return PARSE_OUT_OF_REACH;
  }
  __u32 sender;
  __builtin_memcpy(&sender, addresses->sender_ip, 4);
  __builtin_memcpy(&packet->asked_for.addr_be[0], addresses->target_ip, 4);
  packet->announcement = sender == packet->asked_for.addr_be[0];
  packet->asked_for.family = 4;
  packet->payload_offset = offset + sizeof(*addresses);
  return PARSED;
}

// Fills *packet, which the caller need not have initialised.
static __always_inline enum parse_result parse(frame_ctx* ctx, struct packet* packet) {
  struct frame_view view = view_of(ctx);
  // Clears the padding too: kernel 6.1 gives a global function only stack memory that is fully written.
  __builtin_memset(packet, 0, sizeof(*packet));

  __u32 offset = sizeof(struct ethhdr);
  if (view.length < offset) {
    return PARSE_MALFORMED;
  }
  const struct ethhdr* ethernet = header_at(&view, 0, sizeof(*ethernet));
  if (!ethernet) {
    return PARSE_OUT_OF_REACH;
  }
  __builtin_memcpy(packet->dst_mac, ethernet->h_dest, ETH_ALEN);
  __be16 ethertype_be = ethernet->h_proto;
  packet->unread = SLUICE_MATCH_ALL;

  __u32 tags = 0;
  if (view.tag_in_metadata) {
    packet->vlan = view.metadata_vlan;
    packet->fields |= SLUICE_MATCH_VLAN;
    tags = 1;
  }
  for (int i = 0; i < SLUICE_VLAN_TAGS_MAX; i++) {
    if (!sluice_is_tag(bpf_ntohs(ethertype_be)) || tags >= SLUICE_VLAN_TAGS_MAX) {
      break;
    }
    if (offset + sizeof(struct vlan_tag) > view.length) {
      return PARSE_MALFORMED;
    }
    const struct vlan_tag* tag = header_at(&view, offset, sizeof(*tag));
    if (!tag) {
      return PARSE_OUT_OF_REACH;
    }
    // Linux takes priority tags off and goes by the next tag (net/core/dev.c: __netif_receive_skb_core).
    if (packet->vlan == 0) {
      packet->vlan = bpf_ntohs(tag->tci_be) & SLUICE_VLAN_ID_MASK;
      packet->fields |= SLUICE_MATCH_VLAN;
    }
    ethertype_be = tag->ethertype_be;
    offset += sizeof(*tag);
    tags++;
  }
  packet->payload_offset = offset;
  if (sluice_is_tag(bpf_ntohs(ethertype_be))) {
    packet->unread &= packet->vlan ? ~SLUICE_MATCH_VLAN : ~0U;
    return PARSED;
  }
  packet->ethertype_be = ethertype_be;
  packet->fields |= SLUICE_MATCH_ETHERTYPE;

  packet->unread &= ~(SLUICE_MATCH_VLAN | SLUICE_MATCH_ETHERTYPE);
  if (ethertype_be == bpf_htons(SLUICE_ETHERTYPE_IPV4)) {
    return sluice_parse_ipv4(ctx, packet, offset);
  }
  if (ethertype_be == bpf_htons(SLUICE_ETHERTYPE_IPV6)) {
    return sluice_parse_ipv6(ctx, packet, offset);
  }
  packet->unread = 0;
  if (ethertype_be == bpf_htons(SLUICE_ETHERTYPE_ARP)) {
    return sluice_parse_arp(ctx, packet, offset);
  }
  return PARSED;
}

#endif  // SLUICE_BPF_PARSE_H_
