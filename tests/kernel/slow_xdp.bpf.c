// SPDX-License-Identifier: Apache-2.0
// A program that runs for a while, for whoever waits until it has ended.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

volatile __u32 began, ended;

static long until(__u32 index, void *end_ns)
{
	return bpf_ktime_get_ns() > *(__u64 *)end_ns;
}

SEC("xdp")
int slow_xdp(struct xdp_md *packet)
{
	const __u64 lasts_ns = 50000000;
	__u64 end_ns = bpf_ktime_get_ns() + lasts_ns;

	began = 1;
	bpf_loop(1 << 23, until, &end_ns, 0); // the most rounds that the helper takes
	ended = 1;
	return XDP_DROP;
}
