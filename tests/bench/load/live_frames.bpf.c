// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The programs of liveload.
//
//   load_generate   run by BPF_PROG_TEST_RUN on live frames: writes each, and sends it (XDP_TX) or, when several
//                   receive queues are to be fed, passes it to the stack's entrance
//   load_to_queue   clsact there: sends it by the transmit queue that leads to its flow's receive queue
//   load_sink       XDP where frames come back: counts and drops them
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tests/bench/load/live_frames.h"

char _license[] SEC("license") = "Dual BSD/GPL";

// A generator that fell behind its schedule by more than this (its core was taken) does not catch up.
#define MAX_LAG_NS 1000000
#define FIRST_SOURCE 0xc6120001 /* 198.18.0.1 */
#define DESTINATION 0xc6130001  /* 198.19.0.1 */
#define TTL 64

// Set before the programs are loaded.
const volatile __u8 source_mac[ETH_ALEN];
const volatile __u8 destination_mac[ETH_ALEN];
const volatile __u32 flows = 1;
const volatile __u32 queues = 1;
const volatile __u32 ifindex;
const volatile __u16 sizes[LOAD_MAX_SIZES];
const volatile __u32 size_count = 1;
const volatile __u64 interval_ns_256; /* between frames, in 1/256 ns; 0: as fast as possible */
const volatile __u8 expected_source[ETH_ALEN];
const volatile __u8 expected_destination[ETH_ALEN];
const volatile __u8 expects_macs; /* 0: the sink takes any */

// load_generate runs on one CPU at a time.
__u64 sent;
__u64 sent_bytes;
__u64 failed; /* frames that could not be given their size */
static __u64 next_ns_256;
static __u32 next_flow;
static __u32 next_size;

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct load_counters);
} load_counts SEC(".maps");

static __always_inline int is_due(void) {
  const __u64 now = bpf_ktime_get_ns() << 8;
  if (now < next_ns_256) {
    return 0;
  }
  if (now - next_ns_256 > (__u64)MAX_LAG_NS << 8) {
    next_ns_256 = now;
  }
  next_ns_256 += interval_ns_256;
  return 1;
}

static __always_inline __u16 folded(__u32 sum) {
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return ~sum;
}

// Writes all of the headers, every time: a frame is recycled as the device under test left it. The rest of a frame is
// zeros.
static __always_inline void write_headers(void* data, __u32 size, __u32 flow) {
  struct ethhdr* eth = data;
  struct iphdr* ip = (void*)(eth + 1);
  struct udphdr* udp = (void*)(ip + 1);
  const __u32 source = FIRST_SOURCE + flow / LOAD_FLOWS_PER_ADDRESS;
  const __u32 port = LOAD_FIRST_PORT + flow % LOAD_FLOWS_PER_ADDRESS;
  const __u32 ip_bytes = size - sizeof(*eth);
  const __u32 udp_bytes = ip_bytes - sizeof(*ip);
  const __u32 addresses = (source >> 16) + (source & 0xffff) + (DESTINATION >> 16) + (DESTINATION & 0xffff);
  for (int i = 0; i < ETH_ALEN; ++i) {
    eth->h_dest[i] = destination_mac[i];
    eth->h_source[i] = source_mac[i];
  }
  eth->h_proto = bpf_htons(ETH_P_IP);
  ip->version = 4;
  ip->ihl = 5;
  ip->tos = 0;
  ip->tot_len = bpf_htons(ip_bytes);
  ip->id = 0;
  ip->frag_off = bpf_htons(0x4000);
  ip->ttl = TTL;
  ip->protocol = IPPROTO_UDP;
  ip->saddr = bpf_htonl(source);
  ip->daddr = bpf_htonl(DESTINATION);
  ip->check = bpf_htons(folded(0x4500 + ip_bytes + 0x4000 + (TTL << 8 | IPPROTO_UDP) + addresses));
  udp->source = bpf_htons(port);
  udp->dest = bpf_htons(LOAD_UDP_PORT);
  udp->len = bpf_htons(udp_bytes);
  // Zero would mean none.
  udp->check = bpf_htons(folded(addresses + IPPROTO_UDP + udp_bytes + port + LOAD_UDP_PORT + udp_bytes)) ?: 0xffff;
}

SEC("xdp")
int load_generate(struct xdp_md* ctx) {
  if (interval_ns_256 != 0 && !is_due()) {
    return XDP_DROP;
  }
  const __u32 at = next_size;
  if (at >= LOAD_MAX_SIZES) {
    return XDP_ABORTED;
  }
  const __u32 size = sizes[at];
  const int change = (int)size - (int)(ctx->data_end - ctx->data);
  if (change != 0 && bpf_xdp_adjust_tail(ctx, change) != 0) {
    ++failed;
    return XDP_DROP;
  }
  void* data = (void*)(long)ctx->data;
  if (data + LOAD_HEADER_BYTES > (void*)(long)ctx->data_end) {
    return XDP_ABORTED;
  }
  write_headers(data, size, next_flow);
  next_flow = next_flow + 1 < flows ? next_flow + 1 : 0;
  next_size = at + 1 < size_count ? at + 1 : 0;
  ++sent;
  sent_bytes += size;
  return queues > 1 ? XDP_PASS : XDP_TX;
}

SEC("tc")
int load_to_queue(struct __sk_buff* skb) {
  void* data = (void*)(long)skb->data;
  if (data + LOAD_HEADER_BYTES > (void*)(long)skb->data_end) {
    return TC_ACT_SHOT;
  }
  const struct udphdr* udp = data + sizeof(struct ethhdr) + sizeof(struct iphdr);
  // As a queue that a frame was received on, which counts from 1, is it the choice of netdev_pick_tx.
  skb->queue_mapping = 1 + (bpf_ntohs(udp->source) - LOAD_FIRST_PORT) % queues;
  return bpf_redirect(ifindex, 0);
}

static __always_inline int same_mac(const __u8* one, const volatile __u8* other) {
  int differ = 0;
  for (int i = 0; i < ETH_ALEN; ++i) {
    differ |= one[i] ^ other[i];
  }
  return differ == 0;
}

SEC("xdp")
int load_sink(struct xdp_md* ctx) {
  const __u32 zero = 0;
  struct load_counters* counters = bpf_map_lookup_elem(&load_counts, &zero);
  void* data = (void*)(long)ctx->data;
  void* end = (void*)(long)ctx->data_end;
  if (!counters) {
    return XDP_ABORTED;
  }
  const struct ethhdr* eth = data;
  const struct iphdr* ip = (void*)(eth + 1);
  const struct udphdr* udp = (void*)(ip + 1);
  if (data + LOAD_HEADER_BYTES > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP ||
      udp->dest != bpf_htons(LOAD_UDP_PORT)) {
    ++counters->foreign;
    return XDP_DROP;
  }
  if (expects_macs &&
      !(same_mac(eth->h_source, expected_source) && same_mac(eth->h_dest, expected_destination))) {
    ++counters->wrong;
    return XDP_DROP;
  }
  ++counters->received;
  counters->bytes += end - data;
  return XDP_DROP;
}
