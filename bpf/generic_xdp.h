// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Two effects of generic XDP that the clsact programs have to undo. A port's native program sees what the driver
// receives; a generic one runs when a packet is an skb already, in front of clsact
// (net/core/dev.c: __netif_receive_skb_core, do_xdp_generic). SLUICE_CONFIG_GENERIC_XDP tells the two apart.
//
// 1. It sees frames that are on their way from the dataplane to the kernel as well (to_kernel.h), and of those nothing
//    but the bytes. So the near end of the bridge sets a bit that no sender's address has, XDP lets frames with that
//    bit go on uncounted, and clsact puts it back as it was. A packet from the wire that has the bit gains nothing:
//    clsact classifies and counts it like any other that XDP leaves.
//
// 2. Since Linux 6.9 it copies an skb that has not enough headroom (net/core/skbuff.c: skb_pp_cow_data), and the copy
//    has lost the length of its Ethernet header (mac_len). clsact takes the header back to the front by that length
//    (net/sched/cls_bpf.c: cls_bpf_classify), so it sees such a packet without one, and would redirect it without one.
#ifndef SLUICE_BPF_GENERIC_XDP_H_
#define SLUICE_BPF_GENERIC_XDP_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/header_numbers.h"
#include "bpf/sluice_abi.h"

// The first byte of a frame's source address. Its lowest bit stands for a group, and no frame comes from a group
// (IEEE 802.3, 3.2.3).
#define SOURCE_MAC_OFFSET 6
#define GROUP_BIT 1

static __always_inline bool has_group_source(const struct xdp_md* ctx) {
  const __u8* source = (const __u8*)(long)ctx->data + SOURCE_MAC_OFFSET;
  return source + 1 <= (const __u8*)(long)ctx->data_end && (*source & GROUP_BIT);
}

// Sets the bit, and notes in the control block, behind the token, how it was: a frame from the wire that had it may be
// on its way, too. A frame too short to have it stays as it is.
static __always_inline void set_group_source(struct __sk_buff* skb) {
  __u8* source = (__u8*)(long)skb->data + SOURCE_MAC_OFFSET;
  if (source + 1 <= (__u8*)(long)skb->data_end) {
    skb->cb[4] = *source & GROUP_BIT;
    *source |= GROUP_BIT;
  }
}

// Undoes set_group_source.
static __always_inline void restore_group_source(struct __sk_buff* skb) {
  __u8* source = (__u8*)(long)skb->data + SOURCE_MAC_OFFSET;
  if (source + 1 <= (__u8*)(long)skb->data_end && !skb->cb[4]) {
    *source &= ~GROUP_BIT;
  }
}

// Makes the packet begin with its Ethernet header again. The header still lies before the data; bpf_skb_change_head
// makes room at that very place, zeroed, and computes mac_len again. wire_len is the length before clsact takes the
// header back (net/core/dev.c: sch_handle_ingress). Returns false, for a packet to be dropped, when memory is short.
static __always_inline bool restore_ethernet_header(struct __sk_buff* skb) {
  if (skb->len != skb->wire_len) {
    return true;
  }
  __u8 header[SLUICE_ETHERNET_BYTES];
  return bpf_skb_load_bytes_relative(skb, 0, header, sizeof(header), BPF_HDR_START_MAC) == 0 &&
         bpf_skb_change_head(skb, sizeof(header), 0) == 0 &&
         bpf_skb_store_bytes(skb, 0, header, sizeof(header), 0) == 0;
}

#endif  // SLUICE_BPF_GENERIC_XDP_H_
