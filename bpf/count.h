// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Counts packets by verdict and by rule. A packet that XDP leaves to the kernel passes clsact a moment later, so a
// count in each hook would count it twice, and a count in XDP alone would miss it while XDP is detached. Hence:
//
//   a verdict is counted by the hook where the packet leaves our hands, and only there.
//
//                 XDP (sluice_steer)               clsact (sluice_bridge), always attached
//   leaves here   DATAPLANE DROP BLOCKED MALFORMED PASS DROP BLOCKED MALFORMED UNREADABLE FRAGMENT BRIDGED
//                 UNREADABLE FRAGMENT              BOTH DOWN_PASS DOWN_DROP
//                 OFFLOADED OVERLOADED
//   goes on       PASS, BOTH: not counted
//                 NO_SOCKET: counted, as the reason for which XDP did not take it
//
// A packet for both the dataplane and the kernel is one packet: BOTH, and neither BRIDGED nor PASS.
//
// So the packets a port received are the sum of all verdicts except NO_SOCKET, whether XDP is
// attached or not, and a rule's hits obey the same law. Nothing is counted while no agent has
// activated the configuration.
//
// A frame that the dataplane gives to the kernel passes clsact on its way into the stack (to_kernel.h), and gets no
// verdict there: it was received once, and counted then as DATAPLANE, BRIDGED or BOTH. The dataplane counts it as
// `passed` (dataplane/contract/stats_segment.h), and the bridge's near end counts what it let through
// (struct sluice_to_kernel_counters); when nothing is on its way, these two numbers are the same.
//
// The elements are per CPU and both hooks run in softirq, which does not nest on one CPU: no atomics.
#ifndef SLUICE_BPF_COUNT_H_
#define SLUICE_BPF_COUNT_H_

#include "bpf/maps.h"

// The traffic that one run of a hook stands for: in XDP always one frame, in clsact the frames that GRO merged.
struct amount {
  __u64 packets;
  __u64 bytes;
};

// Returns the queue's element. A device may have more queues than there are elements: the last one takes the rest.
static __always_inline __u32 counter_index(__u32 queue) {
  return queue < SLUICE_MAX_QUEUES ? queue : SLUICE_MAX_QUEUES - 1;
}

static __always_inline void count_verdict(__u32 queue, enum sluice_verdict verdict, struct amount amount) {
  __u32 index = counter_index(queue);
  struct sluice_counters* counters = bpf_map_lookup_elem(&sluice_counters, &index);
  if (!counters || verdict >= SLUICE_VERDICT_COUNT) {
    return;
  }
  counters->packets[verdict] += amount.packets;
  counters->bytes[verdict] += amount.bytes;
}

static __always_inline void count_rule(__u32 index, struct amount amount) {
  struct sluice_rule_hits* hits = bpf_map_lookup_elem(&sluice_rulehits, &index);
  if (!hits) {
    return;  // NO_HITS: the packet went by a default
  }
  hits->packets += amount.packets;
  hits->bytes += amount.bytes;
}

#endif  // SLUICE_BPF_COUNT_H_
