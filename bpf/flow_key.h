// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The key of a flow that can be offloaded. Compiled by clang for the steering program and by g++ for the dataplane,
// which must agree to the bit.
//
// Only ordinary packets have a key: Ethernet, at most one 802.1Q tag, IPv4 without options and not a fragment, or IPv6
// without extension headers, then TCP or UDP whose lengths fit each other. All others, malformed ones included, have
// none, and XDP handles them as any packet (parse.h).
#ifndef SLUICE_BPF_FLOW_KEY_H_
#define SLUICE_BPF_FLOW_KEY_H_

#include <linux/types.h>

#include "bpf/header_numbers.h"
#include "bpf/sluice_abi.h"

static __always_inline void sluice_flow_address(__be32* to, const __u8* at, int words) {
  for (int i = 0; i < words; i++) {
    to[i] = sluice_load_be32(at + 4 * i);
  }
}

// Fills in the ports. Returns 0 when the lengths of TCP or UDP are not in order. `l4_bytes`: the length by IP.
static __always_inline int sluice_flow_ports(const __u8* l4, const __u8* end, __u32 l4_bytes,
                                             struct sluice_flow_key* key) {
  if (key->proto == SLUICE_PROTO_UDP) {
    if (l4 + SLUICE_UDP_BYTES > end || l4_bytes < SLUICE_UDP_BYTES || sluice_load16(l4 + 4) != l4_bytes) {
      return 0;
    }
  } else if (key->proto == SLUICE_PROTO_TCP) {
    if (l4 + SLUICE_TCP_BYTES > end) {
      return 0;
    }
    __u32 header_bytes = (__u32)(l4[12] >> 4) * 4;
    if (header_bytes < SLUICE_TCP_BYTES || header_bytes > l4_bytes) {
      return 0;
    }
  } else {
    return 0;
  }
  key->src_port_be = sluice_load_be16(l4);
  key->dst_port_be = sluice_load_be16(l4 + 2);
  return 1;
}

// Fills *key. `end` is the end of the readable part, `length` that of the whole frame. Returns 0 when the packet has
// no key.
static __always_inline int sluice_flow_key_of(const __u8* data, const __u8* end, __u32 length,
                                              struct sluice_flow_key* key) {
  if (data + SLUICE_ETHERNET_BYTES + SLUICE_TAG_BYTES + SLUICE_IPV4_BYTES > end) {
    return 0;
  }
  __builtin_memset(key, 0, sizeof(*key));
  key->vlan = SLUICE_NO_VLAN;
  const __u8* l3 = data + SLUICE_ETHERNET_BYTES;
  __u32 l3_bytes = length - SLUICE_ETHERNET_BYTES;
  __u16 ethertype = sluice_load16(data + 12);
  if (ethertype == SLUICE_ETHERTYPE_VLAN) {
    key->vlan = sluice_load16(data + 14) & SLUICE_VLAN_ID_MASK;
    ethertype = sluice_load16(data + 16);
    l3 += SLUICE_TAG_BYTES;
    l3_bytes -= SLUICE_TAG_BYTES;
  }
  if (ethertype == SLUICE_ETHERTYPE_IPV4) {
    __u32 total_bytes = sluice_load16(l3 + 2);
    if (l3[0] != 0x45 || (sluice_load16(l3 + 6) & SLUICE_IPV4_FRAGMENT) != 0 || total_bytes > l3_bytes ||
        total_bytes < SLUICE_IPV4_BYTES) {
      return 0;
    }
    key->family = 4;
    key->proto = l3[9];
    sluice_flow_address(key->src_be, l3 + 12, 1);
    sluice_flow_address(key->dst_be, l3 + 16, 1);
    return sluice_flow_ports(l3 + SLUICE_IPV4_BYTES, end, total_bytes - SLUICE_IPV4_BYTES, key);
  }
  if (ethertype == SLUICE_ETHERTYPE_IPV6) {
    if (l3 + SLUICE_IPV6_BYTES > end) {
      return 0;
    }
    __u32 payload_bytes = sluice_load16(l3 + 4);
    if (l3[0] >> 4 != 6 || payload_bytes + SLUICE_IPV6_BYTES > l3_bytes) {
      return 0;
    }
    key->family = 6;
    key->proto = l3[6];
    sluice_flow_address(key->src_be, l3 + 8, 4);
    sluice_flow_address(key->dst_be, l3 + 24, 4);
    return sluice_flow_ports(l3 + SLUICE_IPV6_BYTES, end, payload_bytes, key);
  }
  return 0;
}

// Returns a hash of the key, never 0. Two multiplications a word pair would be quicker in C++, but BPF has no 128-bit
// products.
static __always_inline __u32 sluice_flow_hash(const struct sluice_flow_key* key) {
  __u64 words[sizeof(*key) / sizeof(__u64)];
  __builtin_memcpy(words, key, sizeof(*key));
  __u64 hash = 0;
#pragma GCC unroll 5
  for (unsigned i = 0; i < sizeof(*key) / sizeof(__u64); i++) {
    hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
    hash ^= hash >> 29;
  }
  hash *= 0xbf58476d1ce4e5b9ULL;
  __u32 high = (__u32)(hash >> 32);
  return high ? high : 1;
}

#endif  // SLUICE_BPF_FLOW_KEY_H_
