/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
 *
 * Constants and counters that liveload and its BPF programs share.
 */
#ifndef SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_
#define SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_

#include <linux/types.h>

enum {
  /* Ethernet, IPv4 without options, UDP. */
  LOAD_HEADER_BYTES = 42,
  /* The most frame sizes that are sent in turn: simple IMIX repeats after twelve frames. */
  LOAD_MAX_SIZES = 12,
  /* Source ports 1024..61023, then the next source address, as in flowgen. Divisible by 1, 2, 4, 8 and 16. */
  LOAD_FIRST_PORT = 1024,
  LOAD_FLOWS_PER_ADDRESS = 60000,
  /* The discard service: the destination of all frames, by which the sink knows them. */
  LOAD_UDP_PORT = 9,
};

struct load_counters {
  __u64 received; /* our frames, as expected */
  __u64 bytes;    /* the bytes of those */
  __u64 wrong;    /* our frames, with other MAC addresses than expected */
  __u64 foreign;  /* all other frames */
};

#endif /* SLUICE_TESTS_BENCH_LOAD_LIVE_FRAMES_H_ */
