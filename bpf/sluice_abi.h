// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
//
// The interface between the BPF programs and the two C++ daemons: map names, and the layout of every map's key and
// value. Compiled by clang for BPF (C) and by g++ (C++), as are headers.h and flow_key.h; no other file is shared.
//
// Compatibility: a running program may be older than the agent that adopts it. The agent reads
// `sluice_abi_version` out of the program's read-only data and refuses one that differs from
// SLUICE_ABI_VERSION. Any change to a layout, a map's size or an enum's meaning bumps it.
//
// Byte order: addresses, ports, ethertypes and VLAN ids that are compared with packet bytes are in
// network order, as the names say (_be); everything else is in host order.
#ifndef SLUICE_BPF_SLUICE_ABI_H_
#define SLUICE_BPF_SLUICE_ABI_H_

#include <linux/types.h>

#define SLUICE_ABI_VERSION 12

// The most queue pairs of a port. Every per-queue map is sized by it, so it is less than a tap's 256 queues
// (drivers/net/tun.c: MAX_TAP_QUEUES): no network function has more cores than this yet.
#define SLUICE_MAX_QUEUES 64
// The most rules of a port. A set of rules (struct sluice_rule_set) has one bit for each.
#define SLUICE_MAX_RULES 1024
#define SLUICE_RULE_WORDS (SLUICE_MAX_RULES / 64)
// Two banks: the agent fills the idle one, then flips `rule_bank`, so no packet sees half a set.
#define SLUICE_RULE_BANKS 2
// The most different sets of rules to which the values of all fields lead. N port ranges cut the ports into at most
// 2N + 1 intervals, N prefixes, VLANs or ethertypes make at most N + 1 sets, and there are 256 protocols: 8N + some.
#define SLUICE_MAX_RULE_SETS 8704
// Values of a 16-bit field.
#define SLUICE_FIELD_VALUES 65536
// Hit counters: one for each rule in force, and as many for the rules that will replace them.
#define SLUICE_RULE_HITS (2 * SLUICE_MAX_RULES)
// The guest's own addresses (all interfaces, both families) and the groups it joined on the port. Memory is taken as
// they come (BPF_F_NO_PREALLOC); the table that finds them takes 1 MB a port.
#define SLUICE_MAX_LOCAL_ADDRESSES 65536
// Buckets of a port's flow table, a power of two; the agent sets another number when it loads the program.
#define SLUICE_FLOW_BUCKETS 16384
#define SLUICE_FLOW_WAYS 4
// Buckets that a flow may be in: its own, or the next one. In a table that is half full, one flow in 27 finds its own
// bucket full, one in 200 both.
#define SLUICE_FLOW_PROBES 2
// Words of a flow key, each of which has a secret of its own.
#define SLUICE_FLOW_SECRET_WORDS 10
// Ports of one network function. A power of two: XDP masks a port's number.
#define SLUICE_MAX_PORTS 4

// Words of the secret that marks frames on their way to the kernel. An skb's control block has room for five, and
// generic_xdp.h has the fifth. As many mark the frame of a self-test.
#define SLUICE_TOKEN_WORDS 4

// Places of SLUICE_MAP_BLOCKLIST. Packets of listed sources are dropped, unless the allow-list has the source too.
#define SLUICE_LIST_BLOCK 0
#define SLUICE_LIST_ALLOW 1
#define SLUICE_LISTS 2
// Behind the lists in force are the former ones, to which the agent may go back. Programs do not look there.
#define SLUICE_LIST_PLACES (2 * SLUICE_LISTS)

// Map names, as pinned under /sys/fs/bpf/sluice/IFNAME/ (at most 15 characters).
#define SLUICE_MAP_XSKS "sluice_xsks"
#define SLUICE_MAP_CONFIG "sluice_config"
#define SLUICE_MAP_RULE_BANKS "sluice_banks"
#define SLUICE_MAP_RULES "sluice_rules"
#define SLUICE_MAP_RULE_SETS "sluice_rulesets"
#define SLUICE_MAP_RULE_VALUES "sluice_values"
#define SLUICE_MAP_RULE_PREFIXES "sluice_prefixes"
#define SLUICE_MAP_RULE_HITS "sluice_rulehits"
#define SLUICE_MAP_BLOCKLIST "sluice_blocked"
#define SLUICE_MAP_LOCALS "sluice_locals"
#define SLUICE_MAP_COUNTERS "sluice_counters"
#define SLUICE_MAP_FLOWS "sluice_flows"
#define SLUICE_MAP_DETAILS "sluice_details"
#define SLUICE_MAP_TRUSTED "sluice_trusted"
#define SLUICE_MAP_CREDIT "sluice_credit"
#define SLUICE_MAP_SELF_TEST "sluice_selftest"
// The far end of the bridge has one socket, at index 0.
#define SLUICE_MAP_BRIDGE_XSKS "sluice_brxsks"
#define SLUICE_MAP_TO_KERNEL "sluice_tokernel"

// The outcomes for a packet. The order is the index into sluice_counters.packets.
//
// A packet is counted where it leaves our hands, once: packets that XDP passes meet clsact next, so PASS is counted
// there and only there. Hence, with XDP attached or not: received = the sum of all verdicts but NO_SOCKET, which counts
// packets that XDP left to the bridge (count.h).
enum sluice_verdict {
  SLUICE_VERDICT_DATAPLANE = 0,  // redirected into the queue's AF_XDP socket
  SLUICE_VERDICT_PASS = 1,       // to the kernel stack, by rule or default; counted by clsact
  SLUICE_VERDICT_DROP = 2,       // dropped by a rule
  SLUICE_VERDICT_NO_SOCKET = 3,  // meant for the dataplane, no socket on this queue: left to the bridge
  SLUICE_VERDICT_MALFORMED = 4,  // headers that contradict the packet's length: dropped
  SLUICE_VERDICT_BRIDGED = 5,    // clsact only: redirected into the bridge
  // clsact only: no dataplane. To the kernel, by policy `pass`, or since its copy (BOTH) is all that is left.
  SLUICE_VERDICT_DOWN_PASS = 6,
  SLUICE_VERDICT_DOWN_DROP = 7,  // clsact only: no dataplane, policy `drop`
  SLUICE_VERDICT_BLOCKED = 8,    // the source is on the blocklist: dropped
  SLUICE_VERDICT_OFFLOADED = 9,  // XDP only: of an offloaded flow, sent on
  // XDP only: meant for the dataplane, which is behind. Dropped for want of credit (credit.h), or so that its flow can
  // be offloaded (flows.h).
  SLUICE_VERDICT_OVERLOADED = 10,
  // Dropped, since the blocklist or a rule may be about a field that could not be read (classify.h).
  SLUICE_VERDICT_UNREADABLE = 11,
  SLUICE_VERDICT_FRAGMENT = 12,  // a later fragment, dropped, since a rule that drops may be about its ports
  SLUICE_VERDICT_BOTH = 13,      // clsact only: redirected into the bridge, and to the kernel stack as well
  SLUICE_VERDICT_COUNT = 14,
};

// The clsact program's ways to treat a packet that is meant for the function and that XDP did not take. An element of
// zeros (a map that no agent has filled) passes everything.
enum sluice_bridge_mode {
  SLUICE_BRIDGE_PASS = 0,
  SLUICE_BRIDGE_REDIRECT = 1,
  SLUICE_BRIDGE_DROP = 2,
};

enum sluice_config_flags {
  // The function only wants unicast frames sent to the port's own MAC address (reflect, routers);
  // without it, every frame on the wire is the function's (forward, a bump in the wire).
  SLUICE_CONFIG_OWN_MAC_ONLY = 1 << 0,
  // An agent has filled the maps; without it every packet passes.
  SLUICE_CONFIG_ACTIVE = 1 << 1,
  // XDP sends the packets of offloaded flows.
  SLUICE_CONFIG_OFFLOAD = 1 << 2,
  // The port's XDP program runs in generic mode: it also sees frames on their way from the dataplane to the kernel
  // (to_kernel.h).
  SLUICE_CONFIG_GENERIC_XDP = 1 << 3,
  // The port is a veth: VLAN tags may come beside the frame (tag_apart.h).
  SLUICE_CONFIG_VETH = 1 << 4,
};

// The one element of SLUICE_MAP_CONFIG. The agent replaces it whole.
struct sluice_config {
  __u32 flags;                      // enum sluice_config_flags
  __u32 bridge_mode;                // enum sluice_bridge_mode
  __u32 bridge_ifindex;             // near end of the bridge's veth pair; 0 while there is none
  __u32 rule_bank;                  // 0 or 1: which bank of the rules is in force
  __u32 flow_epoch;                 // entries of another epoch do not count; only ever grows
  __u32 flow_buckets;               // of SLUICE_MAP_FLOWS, a power of two
  __u32 port;                       // the port's own number
  __u32 ifindex[SLUICE_MAX_PORTS];  // of all ports, by number; 0: none
  __u32 own_ifindex;                // the port's
  __u64 bridge_socket;              // SO_COOKIE of the bridge lane's socket on this port; 0 while there is none
  __u8 mac[6];                      // the port's own address
  __u8 pad[2];
  __u32 token[SLUICE_TOKEN_WORDS];  // a secret: tells clsact which frames come from the bridge (to_kernel.h)
  __u32 flow_secret[SLUICE_FLOW_SECRET_WORDS];  // another one of each flow_epoch (flows.h: tag_of)
};

enum sluice_action {
  SLUICE_ACTION_DATAPLANE = 0,
  SLUICE_ACTION_PASS = 1,
  SLUICE_ACTION_DROP = 2,
  SLUICE_ACTION_BOTH = 3,  // the dataplane's, and a copy of it the kernel's
};

// The fields that a rule can compare. A field that a rule does not name matches anything; a field that it names does
// not match a packet without that field (ports of ICMP, say). A field that could not be read is not such a field
// (classify.h).
enum sluice_field {
  SLUICE_FIELD_ETHERTYPE = 0,  // the ethertype behind all VLAN tags
  SLUICE_FIELD_VLAN = 1,       // the id of the outermost VLAN tag that has one; 0: all tags are priority tags
  SLUICE_FIELD_PROTO = 2,      // the last header's protocol, extension headers walked
  SLUICE_FIELD_SRC = 3,
  SLUICE_FIELD_DST = 4,
  SLUICE_FIELD_SRC_PORT = 5,
  SLUICE_FIELD_DST_PORT = 6,
  SLUICE_FIELD_FRAGMENT = 7,  // enum sluice_fragment; of IP packets
  SLUICE_FIELD_COUNT = 8,
};

enum sluice_fragment {
  SLUICE_FRAGMENT_NO = 0,  // a whole packet; also with an IPv6 fragment header that says so (RFC 6946)
  SLUICE_FRAGMENT_FIRST = 1,
  SLUICE_FRAGMENT_LATER = 2,
};

// The same fields as bits: those that a packet has, that a rule names, or that any rule of a bank names.
enum sluice_match {
  SLUICE_MATCH_ETHERTYPE = 1 << SLUICE_FIELD_ETHERTYPE,
  SLUICE_MATCH_VLAN = 1 << SLUICE_FIELD_VLAN,
  SLUICE_MATCH_PROTO = 1 << SLUICE_FIELD_PROTO,
  SLUICE_MATCH_SRC = 1 << SLUICE_FIELD_SRC,
  SLUICE_MATCH_DST = 1 << SLUICE_FIELD_DST,
  SLUICE_MATCH_SRC_PORT = 1 << SLUICE_FIELD_SRC_PORT,
  SLUICE_MATCH_DST_PORT = 1 << SLUICE_FIELD_DST_PORT,
  SLUICE_MATCH_FRAGMENT = 1 << SLUICE_FIELD_FRAGMENT,
  SLUICE_MATCH_PORTS = SLUICE_MATCH_SRC_PORT | SLUICE_MATCH_DST_PORT,
  SLUICE_MATCH_ALL = (1 << SLUICE_FIELD_COUNT) - 1,
};

// Element of SLUICE_MAP_RULE_BANKS, one for each bank. A set id is an index into the bank's SLUICE_MAX_RULE_SETS
// elements of SLUICE_MAP_RULE_SETS.
struct sluice_bank {
  __u32 rules;                           // 0: no rule is looked for
  __u32 fields;                          // enum sluice_match: those that at least one rule names
  __u16 absent_set[SLUICE_FIELD_COUNT];  // the rules a packet without the field may still match: those not naming it
  // Those, and the rules that drop: for a field that is in another fragment.
  __u16 elsewhere_set[SLUICE_FIELD_COUNT];
  __u16 all_set;  // all rules: for a field that could not be read
  __u16 pad;
};

// Element bank * SLUICE_MAX_RULE_SETS + id of SLUICE_MAP_RULE_SETS: rules, bit r % 64 of word r / 64. A rule that
// comes first has the lower bit.
struct sluice_rule_set {
  __u64 words_used;  // bit w: words[w] is not zero
  __u64 words[SLUICE_RULE_WORDS];
};

// Element bank * SLUICE_FIELD_VALUES + value of SLUICE_MAP_RULE_VALUES: for the fields that are a number, the set of
// rules that a packet with that value may match. The elements of addresses are not used.
struct sluice_value_sets {
  __u16 set[SLUICE_FIELD_COUNT];
};

// Key of SLUICE_MAP_RULE_PREFIXES and, with table 0, of lists of sources; the value is a set id (__u32), in a
// list the prefix's own length. Of IPv4 the address is in element 0.
struct sluice_prefix {
  __u32 prefixlen;  // in bits: those of `table` and then the address's
  __u32 table;      // SLUICE_PREFIX_TABLE
  __be32 addr_be[4];
};
// The table of a family (4 or 6), a field and a bank; all of them share the trie.
#define SLUICE_PREFIX_TABLE(family, field, bank) ((__u32)(family) | (__u32)(field) << 8 | (__u32)(bank) << 16)
#define SLUICE_PREFIX_TABLE_BITS 32

// Element bank * SLUICE_MAX_RULES + rule of SLUICE_MAP_RULES.
struct sluice_rule {
  __u32 action;  // enum sluice_action
  __u32 hits;    // index into SLUICE_MAP_RULE_HITS
  __u32 fields;  // enum sluice_match: those that it names
};

// Key of SLUICE_MAP_LOCALS; the value is a __u8, enum sluice_local.
struct sluice_address {
  __be32 addr_be[4];  // IPv4 in element 0
  __u32 family;       // 4 or 6
};

enum sluice_local {
  SLUICE_LOCAL_ADDRESS = 1,  // of the guest, on any interface
  SLUICE_LOCAL_GROUP = 2,    // a multicast group that the guest joined on this port
};

// Key of a port's offloaded flows (flow_key.h). No padding: compared and hashed as bytes.
struct sluice_flow_key {
  __be32 src_be[4];  // IPv4 in element 0, the rest 0
  __be32 dst_be[4];
  __be16 src_port_be;
  __be16 dst_port_be;
  __u16 vlan;   // id of the only tag, or SLUICE_NO_VLAN
  __u8 proto;   // TCP or UDP
  __u8 family;  // 4 or 6
};
#define SLUICE_NO_VLAN 0xffff

// States of an entry of SLUICE_MAP_FLOWS. Both sides change them by compare-and-swap, except for the last step of a
// claim. XDP takes an entry in any state not listed here for free.
//
//   FREE ─► CLAIMED ─► SEEN ─► CLAIMED ─► PENDING ─► OFFLOADED ◄─► LEAVING ─► GONE ─► FREE
enum sluice_flow_state {
  SLUICE_FLOW_FREE = 0,
  SLUICE_FLOW_CLAIMED = 1,    // a worker is writing it
  SLUICE_FLOW_SEEN = 2,       // the dataplane counts its packets; not offloaded
  SLUICE_FLOW_PENDING = 3,    // XDP delivers its packets to the dataplane until none of them is left there
  SLUICE_FLOW_OFFLOADED = 4,  // XDP sends its packets; set by XDP
  SLUICE_FLOW_LEAVING = 5,    // was idle for long; the next packet makes it OFFLOADED again
  SLUICE_FLOW_GONE = 6,       // no packet came; free once no program that may have seen it is running
};

enum sluice_flow_change {
  SLUICE_FLOW_SWAP_MACS = 1 << 0,
  SLUICE_FLOW_SET_MACS = 1 << 1,
  SLUICE_FLOW_DEC_TTL = 1 << 2,  // a packet whose TTL or hop limit would end goes to the dataplane
  SLUICE_FLOW_SET_ADDRESSES = 1 << 3,
  SLUICE_FLOW_SET_PORTS = 1 << 4,
  SLUICE_FLOW_SET_VLAN = 1 << 5,  // of the tag there is; priority bits stay
};

// The changes that XDP makes to each packet of a flow, and where it sends them.
struct sluice_flow_action {
  __u32 changes;   // enum sluice_flow_change
  __u32 out_port;  // a port's number
  __u8 dst_mac[6];
  __u8 src_mac[6];
  __u16 ip_delta;  // to be added to the ones' complement sum behind the IPv4 header's checksum...
  __u16 l4_delta;  // ...and TCP's or UDP's, for all of the above but the TTL (RFC 1624)
  __u16 vlan;      // id
  __be16 src_port_be;
  __be16 dst_port_be;
  __u16 pad[3];
  __be32 src_be[4];
  __be32 dst_be[4];
};

// One entry: one cache line, the only one that an offloaded packet touches unless its headers are rewritten. With many
// flows that line and its page have to be fetched for each packet, which is most of the cost of a packet.
struct sluice_flow {
  __u32 state;  // enum sluice_flow_state
  __u32 epoch;  // sluice_config.flow_epoch of the entry
  struct sluice_flow_key key;
  __u64 bytes;     // offloaded
  __u32 packets;   // offloaded, modulo 2^32; while SEEN, those that came
  __u16 changes;   // action.changes
  __u16 out_port;  // action.out_port
};

// Element of SLUICE_MAP_FLOWS, hash % flow_buckets. mmapable: the dataplane writes entries where XDP reads them.
struct sluice_flow_bucket {
  struct sluice_flow flows[SLUICE_FLOW_WAYS];
};

// Element of SLUICE_MAP_TRUSTED, of the entries of the same element of SLUICE_MAP_FLOWS. XDP's alone: the dataplane has
// no descriptor of this map.
struct sluice_trusted_bucket {
  __u64 tags[SLUICE_FLOW_WAYS];  // flows.h: tag_of; 0: none
};

// The rest of an entry. Rewriting IPv4 takes its first cache line.
struct sluice_flow_detail {
  struct sluice_flow_action action;
  __u32 last_delivered;  // while PENDING: the number of the last packet that XDP gave to the dataplane...
  __u32 last_queue;      // ...on this queue, plus one; 0: none yet
  __u32 packets_before;  // `packets` of the entry at the dataplane's last look, and in how many looks...
  __u32 idle_looks;      // ...it stayed the same
  __u8 pad[44];
};

// Element of SLUICE_MAP_DETAILS, of the entries of the same element of SLUICE_MAP_FLOWS. mmapable as well.
struct sluice_detail_bucket {
  struct sluice_flow_detail details[SLUICE_FLOW_WAYS];
};

// Element of SLUICE_MAP_CREDIT, one for each RX queue; mmapable. XDP and the dataplane write different cache lines.
// Counts are modulo 2^32. XDP numbers the packets it delivers in ring order, so packet n is at ring position n
// minus the packets that the socket dropped before it.
struct sluice_queue_credit {
  // Written by XDP.
  __u32 delivered;  // packets redirected to the queue's socket
  __u32 shed;       // packets dropped instead, since the limit was reached
  __u8 pad[56];
  // Written by the dataplane, and by the agent before the queue has a socket.
  __u32 completed;    // every packet up to this number has been sent and completed, or lost
  __u32 base;         // `delivered` when the queue's socket was made
  __u32 overflowing;  // not 0: packets for the socket are being dropped
  __u32 limited;      // not 0: `limit` holds
  __u32 limit;        // XDP delivers nothing once `delivered` has reached it
  __u8 pad2[44];
};

// The frame of a self-test (self_test.h): from the port to itself, tagged. 64 bytes.
struct sluice_self_test_frame {
  __u8 dst_mac[6];
  __u8 src_mac[6];
  __be16 tpid_be;                   // of a VLAN tag
  __be16 vlan_be;                   // id 1
  __be16 ethertype_be;              // SLUICE_ETHERTYPE_EXPERIMENTAL
  __u32 token[SLUICE_TOKEN_WORDS];  // drawn for each test
  __u8 padding[30];
} __attribute__((packed));

// Element of SLUICE_MAP_SELF_TEST, one for each RX queue. All but the first two is XDP's.
struct sluice_self_test {
  __u32 token[SLUICE_TOKEN_WORDS];  // of the test that runs; the first word 0: none runs
  __u32 is_live;                    // not 0: the frame goes on to the socket, so it counts in the queue's credit
  __u32 seen;                       // frames of the test that XDP saw
  __u32 has_socket;                 // not 0: there is a socket in the XSKMAP...
  __u32 socket_queue;               // ...bound to this queue
};

// Per-CPU element of SLUICE_MAP_COUNTERS, one element per RX queue. Monotonic.
struct sluice_counters {
  __u64 packets[SLUICE_VERDICT_COUNT];
  __u64 bytes[SLUICE_VERDICT_COUNT];
};

// The one per-CPU element of SLUICE_MAP_TO_KERNEL. Monotonic.
struct sluice_to_kernel_counters {
  __u64 packets;  // of the dataplane, sent on into the port's ingress
  __u64 bytes;
  __u64 strays;  // all other frames, in either direction: dropped
};

// Per-CPU element of SLUICE_MAP_RULE_HITS. The agent assigns each to a rule, which keeps it while other rules change.
struct sluice_rule_hits {
  __u64 packets;
  __u64 bytes;
};

#endif  // SLUICE_BPF_SLUICE_ABI_H_
