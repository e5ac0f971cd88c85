// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Rewrites a packet of an offloaded flow by the flow's action. The packet has a flow key (flow_key.h): its headers have
// neither options nor extensions, so their places are known, and all of them are within the first buffer.
//
// Tags are neither pushed nor popped: since 6.13, and in stable kernels before (kernel/bpf/verifier.c: "Extension
// program changes packet data, while original does not"), a program in libxdp 1.3's dispatcher may not move a frame's
// start.
//
// Checksums are updated by the difference (RFC 1624, equation 3), so a wrong one stays wrong.
#ifndef SLUICE_BPF_FLOW_REWRITE_H_
#define SLUICE_BPF_FLOW_REWRITE_H_

#include <linux/bpf.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "bpf/flow_key.h"

// `delta` is in host order, not necessarily folded.
static __always_inline __be16 checksum_plus(__be16 checksum_be, __u32 delta) {
  __u32 sum = (__u16)~bpf_ntohs(checksum_be) + delta;
  return bpf_htons((__u16)~sluice_fold(sum));
}

static __always_inline void rewrite_tag(__u8* data, const struct sluice_flow_action* action) {
  if (action->changes & SLUICE_FLOW_SET_VLAN) {
    __be16* tag = (__be16*)(data + SLUICE_ETHERNET_BYTES);
    *tag = bpf_htons((bpf_ntohs(*tag) & SLUICE_VLAN_PRIORITY_MASK) | action->vlan);
  }
}

static __always_inline void swap_mac_words(__u8* data) {
  __u16* macs = (__u16*)data;
  for (int i = 0; i < 3; i++) {
    __u16 dst = macs[i];
    macs[i] = macs[i + 3];
    macs[i + 3] = dst;
  }
}

static __always_inline void rewrite_macs(__u8* data, const struct sluice_flow_action* action) {
  if (action->changes & SLUICE_FLOW_SWAP_MACS) {
    swap_mac_words(data);
  } else if (action->changes & SLUICE_FLOW_SET_MACS) {
    __builtin_memcpy(data, action->dst_mac, 6);
    __builtin_memcpy(data + 6, action->src_mac, 6);
  }
}

static __always_inline void rewrite_ports(__u8* l4, const struct sluice_flow_action* action) {
  if (action->changes & SLUICE_FLOW_SET_PORTS) {
    __builtin_memcpy(l4, &action->src_port_be, 2);
    __builtin_memcpy(l4 + 2, &action->dst_port_be, 2);
  }
}

static __always_inline void rewrite_transport(__u8* l4, const __u8* end, __u8 proto,
                                              const struct sluice_flow_action* action) {
  if (!(action->changes & (SLUICE_FLOW_SET_ADDRESSES | SLUICE_FLOW_SET_PORTS))) {
    return;
  }
  if (proto == SLUICE_PROTO_TCP) {
    if (l4 + SLUICE_TCP_BYTES <= end) {
      rewrite_ports(l4, action);
      __be16* checksum = (__be16*)(l4 + 16);
      *checksum = checksum_plus(*checksum, action->l4_delta);
    }
    return;
  }
  if (l4 + SLUICE_UDP_BYTES > end) {
    return;
  }
  rewrite_ports(l4, action);
  __be16* checksum = (__be16*)(l4 + 6);
  if (*checksum != 0) {  // 0: the packet has none; a sum of 0 is written as 0xffff (RFC 768)
    __be16 updated = checksum_plus(*checksum, action->l4_delta);
    *checksum = updated ? updated : 0xffff;
  }
}

static __always_inline void rewrite_ipv4(__u8* l3, const __u8* end, const struct sluice_flow_action* action) {
  if (l3 + SLUICE_IPV4_BYTES > end) {
    return;
  }
  __u32 delta = action->ip_delta;
  if (action->changes & SLUICE_FLOW_SET_ADDRESSES) {
    __builtin_memcpy(l3 + 12, &action->src_be[0], 4);
    __builtin_memcpy(l3 + 16, &action->dst_be[0], 4);
  }
  if (action->changes & SLUICE_FLOW_DEC_TTL) {
    l3[8]--;
    delta += 0xfeff;  // the TTL is the upper half of its word: minus 0x0100, in ones' complement
  }
  __be16* checksum = (__be16*)(l3 + 10);
  *checksum = checksum_plus(*checksum, delta);
  rewrite_transport(l3 + SLUICE_IPV4_BYTES, end, l3[9], action);
}

static __always_inline void rewrite_ipv6(__u8* l3, const __u8* end, const struct sluice_flow_action* action) {
  if (l3 + SLUICE_IPV6_BYTES > end) {
    return;
  }
  if (action->changes & SLUICE_FLOW_SET_ADDRESSES) {
    __builtin_memcpy(l3 + 8, action->src_be, 16);
    __builtin_memcpy(l3 + 24, action->dst_be, 16);
  }
  if (action->changes & SLUICE_FLOW_DEC_TTL) {
    l3[7]--;
  }
  rewrite_transport(l3 + SLUICE_IPV6_BYTES, end, l3[6], action);
}

static __always_inline __u8* network_header(__u8* data) {
  return data + SLUICE_ETHERNET_BYTES + (sluice_load16(data + 12) == SLUICE_ETHERTYPE_VLAN ? SLUICE_TAG_BYTES : 0);
}

// The comparisons with the packet's end, here and below, are for the verifier: a packet with a key is long enough.
static __always_inline bool swap_macs(struct xdp_md* ctx) {
  __u8* data = (__u8*)(long)ctx->data;
  if (data + SLUICE_ETHERNET_BYTES > (__u8*)(long)ctx->data_end) {
    return false;
  }
  swap_mac_words(data);
  return true;
}

// Returns false, with the packet as it was, when the dataplane has to handle it.
static __always_inline bool rewrite(struct xdp_md* ctx, const struct sluice_flow_action* action, __u8 family) {
  __u8* data = (__u8*)(long)ctx->data;
  __u8* end = (__u8*)(long)ctx->data_end;
  if (data + SLUICE_ETHERNET_BYTES + SLUICE_TAG_BYTES + SLUICE_IPV4_BYTES > end) {
    return false;
  }
  if (!(action->changes & ~(SLUICE_FLOW_SWAP_MACS | SLUICE_FLOW_SET_MACS))) {
    rewrite_macs(data, action);
    return true;
  }
  if ((action->changes & SLUICE_FLOW_DEC_TTL) && network_header(data)[family == 4 ? 8 : 7] <= 1) {
    return false;
  }
  rewrite_macs(data, action);
  rewrite_tag(data, action);
  if (family == 4) {
    rewrite_ipv4(network_header(data), end, action);
  } else {
    rewrite_ipv6(network_header(data), end, action);
  }
  return true;
}

#endif  // SLUICE_BPF_FLOW_REWRITE_H_
