// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// VLAN tags that are not in the frame. A sender can leave its tag to the device (tx-vlan-offload), and veth hands such
// a frame over with the tag in the skb's metadata. XDP would take the frame for an untagged one, and a socket would get
// it without its tag. clsact sees the tag, and the bridge's veth pair puts it into the frame: so XDP leaves the frame
// to clsact.
//
// Native XDP on veth: the program's context is the first member of struct veth_xdp_buff, which has the skb too
// (drivers/net/veth.c: veth_xdp_rcv_skb; since Linux 6.3). Generic XDP, and older kernels: nothing leads to the skb, so
// every frame of a veth is left to clsact.
#ifndef SLUICE_BPF_TAG_APART_H_
#define SLUICE_BPF_TAG_APART_H_

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/sluice_abi.h"

// The members that are read; their places are the running kernel's (CO-RE).
struct sk_buff {
  __u32 vlan_all;  // protocol and id; 0: no tag
} __attribute__((preserve_access_index));

struct veth_xdp_buff {
  struct sk_buff* skb;  // NULL for a frame that another XDP program sent
} __attribute__((preserve_access_index));

// True where the running kernel has both members: a type alone may be there without them.
static __always_inline bool leads_to_skb(void) {
  return bpf_core_field_exists(struct veth_xdp_buff, skb) && bpf_core_field_exists(struct sk_buff, vlan_all);
}

// Returns true for a frame of a veth that has such a tag, or may have one.
static __always_inline bool may_have_tag_apart(struct xdp_md* ctx, const struct sluice_config* config) {
  if (!(config->flags & SLUICE_CONFIG_VETH)) {
    return false;
  }
  if ((config->flags & SLUICE_CONFIG_GENERIC_XDP) || !leads_to_skb()) {
    return true;
  }
  struct sk_buff* skb = NULL;
  __u32 tag = 0;
  const void* place = (const void*)ctx + bpf_core_field_offset(struct veth_xdp_buff, skb);
  if (bpf_probe_read_kernel(&skb, sizeof(skb), place) || !skb) {
    return false;
  }
  return bpf_probe_read_kernel(&tag, sizeof(tag), &skb->vlan_all) || tag;
}

#endif  // SLUICE_BPF_TAG_APART_H_
