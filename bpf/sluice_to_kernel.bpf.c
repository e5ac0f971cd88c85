// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The near end of the bridge's veth pair: only frames of ours pass, in either direction. All others are dropped and
// counted as strays: no port received them. To the guest's programs both ends are links like any other, and they send
// LLDP, mDNS, DHCP or router advertisements on all links.
//
//   clsact ingress, sluice_to_kernel: frames that the bridge lane's socket sent at the far end go on into the port's
//   ingress (to_kernel.h).
//   clsact egress, sluice_into_bridge: packets that sluice_bridge redirected go on to the far end. They have the token,
//   too: between the two hooks the kernel leaves the control block alone (net/core/filter.c: __bpf_redirect;
//   net/core/dev.c: __dev_queue_xmit). A program that goes around clsact (PACKET_QDISC_BYPASS) is not stopped here.
//
// Checksums: such a frame comes without offload information (CHECKSUM_NONE), so the stack verifies its checksum. A tag
// in the data is in the skb's metadata by now (net/core/dev.c: skb_vlan_untag), where the port's VLAN devices look for
// it. The port must be up, else the kernel drops the frame and counts it there (rx_dropped).
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_helpers.h>

#include "bpf/config.h"
#include "bpf/generic_xdp.h"
#include "bpf/to_kernel.h"

char _license[] SEC("license") = "Dual BSD/GPL";

#define VLAN_TAG_BYTES 4

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct sluice_to_kernel_counters);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_tokernel SEC(".maps");

static __always_inline struct sluice_to_kernel_counters* near_end_counters(void) {
  __u32 zero = 0;
  return bpf_map_lookup_elem(&sluice_tokernel, &zero);
}

SEC("tc")
int sluice_into_bridge(struct __sk_buff* skb) {
  const struct sluice_config* config = active_config();
  if (config && take_token(skb, config)) {
    return TC_ACT_OK;
  }
  struct sluice_to_kernel_counters* counters = near_end_counters();
  if (counters) {
    counters->strays++;
  }
  return TC_ACT_SHOT;
}

SEC("tc")
int sluice_to_kernel(struct __sk_buff* skb) {
  struct sluice_to_kernel_counters* counters = near_end_counters();
  if (!counters) {
    return TC_ACT_SHOT;
  }
  const struct sluice_config* config = active_config();
  if (!config || !is_from_dataplane(skb, config)) {
    counters->strays++;
    return TC_ACT_SHOT;
  }
  counters->packets++;
  counters->bytes += skb->len + (skb->vlan_present ? VLAN_TAG_BYTES : 0);
  put_token(skb, config);
  if (config->flags & SLUICE_CONFIG_GENERIC_XDP) {
    set_group_source(skb);
  }
  return bpf_redirect(config->own_ifindex, BPF_F_INGRESS);
}
