// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The parser's input (frame_view) and output (packet). The parser does not know whether the frame sits in an xdp_buff
// or an sk_buff. The hook defines both of these before it includes parse.h:
//
//   typedef struct xdp_md frame_ctx;                                     its context
//   static __always_inline struct frame_view view_of(frame_ctx *ctx);    how the parser reads it
#ifndef SLUICE_BPF_PACKET_H_
#define SLUICE_BPF_PACKET_H_

#include <linux/types.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/header_numbers.h"
#include "bpf/sluice_abi.h"

struct frame_view {
  const void* data;      // the Ethernet header
  const void* data_end;  // end of the linear part, which may be short of `length`
  __u32 length;          // of the whole frame, fragments included
  bool merged;           // by GRO or GSO: the IP and UDP length fields may not fit the frame
  bool tag_in_metadata;  // the outermost VLAN tag is not in the data...
  __u16 metadata_vlan;   // ...but here (VLAN id, host order)
};

// The fields that rules and defaults compare. A field's bit (enum sluice_match) is
//
//   in `fields`           when its member is set,
//   in `unread`           when the packet may have the field, and the parser could not come to it,
//   in neither            when the packet has no such field: ports of ICMP, a VLAN id of an untagged frame.
//
// `dst` may be in both: the address in the IP header, of a packet that goes to another one next (source routes).
// Addresses have the form of keys of sluice_locals.
struct packet {
  __u32 fields;
  __u32 unread;
  __be16 ethertype_be;
  __u16 vlan;
  __u8 proto;
  __u8 neighbour;           // 1: ARP or IPv6 neighbour discovery
  __u8 fragment;            // enum sluice_fragment
  __u8 announcement;        // 1: ARP in which a host says its own address to all (RFC 5227)
  __u8 dhcp_answer;         // 1: from a DHCP server (IPv4) to a client
  __u8 dhcp_client_mac[6];  // the client, where dhcp_answer is 1
  __u16 src_port;
  __u16 dst_port;
  __u8 dst_mac[6];
  __u32 payload_offset;       // end of the last header that the parser knows
  struct sluice_address src;  // of IPv4 or IPv6
  struct sluice_address dst;
  struct sluice_address asked_for;  // ARP or ND target; family 0 if there is none
};

enum parse_result {
  PARSED,
  PARSE_MALFORMED,     // the frame contradicts itself; the packet is not to be used
  PARSE_OUT_OF_REACH,  // a header lies behind the linear part; the fields before it are good, the others `unread`
};

// Returns those of the unread fields that the packet's first fragment has.
static __always_inline __u32 fields_elsewhere(const struct packet* packet) {
  __u32 elsewhere = packet->unread & (SLUICE_MATCH_PROTO | SLUICE_MATCH_PORTS);
  return packet->fragment == SLUICE_FRAGMENT_LATER ? elsewhere : 0;
}

// `mac` points to a frame's destination.
static __always_inline bool is_own_mac(const __u8* mac, const struct sluice_config* config) {
  __u8 difference = 0;
  for (int i = 0; i < 6; i++) {
    difference |= mac[i] ^ config->mac[i];
  }
  return difference == 0;
}

#endif  // SLUICE_BPF_PACKET_H_
