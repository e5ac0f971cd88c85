// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Frames that the network function gives to the guest's own stack. They take the bridge in reverse, and enter the
// stack as if they had just arrived on the port:
//
//   bridge lane's socket ─► far ═veth═ near ─clsact: sluice_to_kernel─► port's ingress ─clsact: sluice_bridge─► stack
//                                       └─► any other frame: dropped
//
// The near end knows such a frame by the socket that sent it. An skb refers to its sender's socket, and keeps the
// reference over a veth pair within one network namespace (net/core/skbuff.c: skb_scrub_packet). The agent made the
// socket, and enters its cookie, which the kernel gives to no other socket, in the configuration.
//
// clsact of the port knows it by a token, 128 random bits that the agent drew, in the skb's control block. The near end
// puts it there, and from there to clsact the kernel leaves the block alone (net/core/dev.c: dev_forward_skb_nomtu,
// netif_rx, __netif_receive_skb_core) or copies it (skb_pp_cow_data for generic XDP; the copy does not refer to the
// socket, so the socket does not do here). A packet from the wire cannot bring the token: the block is no part of a
// packet, and bytes that a driver or a sender on this machine left in it do not match a secret.
// Mark, priority and queue, which others may set, play no part; the stack finds them as on a packet from the wire.
#ifndef SLUICE_BPF_TO_KERNEL_H_
#define SLUICE_BPF_TO_KERNEL_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <stdbool.h>

#include "bpf/sluice_abi.h"

// Returns true for a frame that the bridge lane's socket sent. Called at the near end.
static __always_inline bool is_from_dataplane(struct __sk_buff* skb, const struct sluice_config* config) {
  return config->bridge_socket && bpf_get_socket_cookie(skb) == config->bridge_socket;
}

static __always_inline void put_token(struct __sk_buff* skb, const struct sluice_config* config) {
  skb->cb[0] = config->token[0];
  skb->cb[1] = config->token[1];
  skb->cb[2] = config->token[2];
  skb->cb[3] = config->token[3];
}

// Returns true for a frame that has the token, and destroys the token. Without a socket there is none. Called at the
// port, and at the near end's way in.
static __always_inline bool take_token(struct __sk_buff* skb, const struct sluice_config* config) {
  if (!config->bridge_socket || skb->cb[0] != config->token[0] || skb->cb[1] != config->token[1] ||
      skb->cb[2] != config->token[2] || skb->cb[3] != config->token[3]) {
    return false;
  }
  skb->cb[0] = 0;
  return true;
}

#endif  // SLUICE_BPF_TO_KERNEL_H_
