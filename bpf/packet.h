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

// The parser reads headers within this many bytes from the frame's start. Ethernet, three tags, IPv6, eight ordinary
// extension headers and a full TCP header take about 250. A packet whose headers lie beyond counts as one without those
// fields. clsact pulls at most as many bytes into the linear part.
#define HEADER_REACH_BYTES 512

struct frame_view {
  const void* data;      // the Ethernet header
  const void* data_end;  // end of the linear part, which may be short of `length`
  __u32 length;          // of the whole frame, fragments included
  bool merged;           // by GRO or GSO: the IP and UDP length fields may not fit the frame
  bool tag_in_metadata;  // the outermost VLAN tag is not in the data...
  __u16 metadata_vlan;   // ...but here (VLAN id, host order)
};

// The fields that rules and defaults compare. `fields` says which members are set; a packet without ports has no
// SLUICE_MATCH_*_PORT bit. Addresses have the form of keys of sluice_locals.
struct packet {
  __u32 fields;  // enum sluice_match bits; all parsed frames have ETHERTYPE
  __be16 ethertype_be;
  __u16 vlan;
  __u8 proto;
  __u8 neighbour;  // 1: ARP or IPv6 neighbour discovery
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
  PARSE_OUT_OF_REACH,  // a header lies behind the linear part; the fields before it are good
};

// `mac` points to a frame's destination.
static __always_inline bool is_own_mac(const __u8* mac, const struct sluice_config* config) {
  __u8 difference = 0;
  for (int i = 0; i < 6; i++) {
    difference |= mac[i] ^ config->mac[i];
  }
  return difference == 0;
}

#endif  // SLUICE_BPF_PACKET_H_
