// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// Credit: the number of packets that XDP has delivered to a queue's AF_XDP socket, and the number that the socket can
// still take. The element is struct sluice_queue_credit (sluice_abi.h).
//
// A socket without room drops the packet itself, at a higher price than XDP: it counts the drop in the cache line that
// it reads for each frame it sends (include/net/xdp_sock.h: rx_dropped is next to tx), and it asks the pool, whose
// lines the sender needs too. With ten times the load the dataplane can take, receiving on another core, that made the
// dataplane a tenth slower (tests/bench/README.md). So a dataplane that is behind publishes a limit, and XDP drops the
// excess before it reaches the socket.
//
// While the dataplane keeps up there is no limit, and neither side touches the other's cache line.
#ifndef SLUICE_BPF_CREDIT_H_
#define SLUICE_BPF_CREDIT_H_

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/sluice_abi.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, SLUICE_MAX_QUEUES);
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct sluice_queue_credit);
  __uint(pinning, LIBBPF_PIN_BY_NAME);
} sluice_credit SEC(".maps");

// For fields that the dataplane writes at the same time.
#define READ_ONCE(field) (*(volatile __typeof__(field)*)&(field))

// Counts one more packet for the queue's socket and returns true, with its sequence number in *number; or returns
// false, counting the packet as shed, when the queue is out of credit.
static __always_inline bool take_credit(__u32 queue, __u32* number) {
  // No atomics: one queue's polls never run side by side.
  struct sluice_queue_credit* credit = bpf_map_lookup_elem(&sluice_credit, &queue);
  if (!credit) {
    return true;
  }
  if (READ_ONCE(credit->limited) && (__s32)(credit->delivered - READ_ONCE(credit->limit)) >= 0) {
    credit->shed++;
    return false;
  }
  *number = ++credit->delivered;
  return true;
}

#endif  // SLUICE_BPF_CREDIT_H_
