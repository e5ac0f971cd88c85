// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The far end of the bridge's veth pair: gives the frames that sluice_bridge sent into it to the bridge lane's AF_XDP
// socket. Without a socket it drops them: a frame that reached the kernel's stack here would be answered.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/sluice_abi.h"

char _license[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 sluice_abi_version = SLUICE_ABI_VERSION;

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_brxsks SEC(".maps");

SEC("xdp")
int sluice_bridge_rx(struct xdp_md* ctx) {
  return bpf_redirect_map(&sluice_brxsks, 0, XDP_DROP);
}
