// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The work of a device under test, done in the kernel alone: the ceiling. Loaded by tests/bench/lib/devices.py.
#include <linux/bpf.h>
#include <linux/if_ether.h>

#include <bpf/bpf_helpers.h>

char _license[] SEC("license") = "Dual BSD/GPL";

// The device by which frames leave, by the index of the one at which they came in.
struct {
  __uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
  __uint(max_entries, 2);
  __type(key, __u32);
  __type(value, __u32);
} other_port SEC(".maps");

SEC("xdp")
int kernel_reflect(struct xdp_md* ctx) {
  struct ethhdr* eth = (void*)(long)ctx->data;
  if ((void*)(eth + 1) > (void*)(long)ctx->data_end) {
    return XDP_DROP;
  }
  for (int i = 0; i < ETH_ALEN; ++i) {
    const __u8 destination = eth->h_dest[i];
    eth->h_dest[i] = eth->h_source[i];
    eth->h_source[i] = destination;
  }
  return XDP_TX;
}

SEC("xdp")
int kernel_forward(struct xdp_md* ctx) {
  return bpf_redirect_map(&other_port, ctx->ingress_ifindex, XDP_DROP);
}
