// SPDX-License-Identifier: Apache-2.0
//
// Tests on real netdevs, for what BPF_PROG_TEST_RUN cannot show: sockets in the XSKMAPs, VLAN tags in skb metadata, the
// bridge end to end, and pinned maps.
//
//     wire ══ port ──clsact──► near ══ far        (══ a veth pair)
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <sys/stat.h>

#include <array>
#include <iterator>

#include "bpf/sluice_bridge.skel.h"
#include "bpf/sluice_bridge_rx.skel.h"
#include "bpf/sluice_steer.skel.h"
#include "bpf/sluice_to_kernel.skel.h"
#include "tests/bpf/network.h"
#include "tests/bpf/programs.h"

namespace sluice::bpf_test {
namespace {

class Live : public Programs {
 protected:
  void SetUp() override {
    SetUpDevices(
        "sysctl -qw net.ipv6.conf.default.disable_ipv6=1 && "
        "ip link add port numrxqueues 2 numtxqueues 2 type veth peer name wire numrxqueues 2 "
        "numtxqueues 2 && ip link add near type veth peer name far && "
        "for d in port wire near far; do ip link set $d up; done && ethtool -K near txvlan off tso off gso off "
        "tx off >/dev/null");
    if (IsSkipped()) {
      return;
    }
    port_ = if_nametoindex("port");
    near_ = if_nametoindex("near");
    far_ = if_nametoindex("far");
  }
  void attach_xdp(uint32_t ifindex, const bpf_program* program) {
    ASSERT_EQ(0, bpf_xdp_attach(ifindex, bpf_program__fd(program), 0, nullptr)) << strerror(errno);
  }
  void attach_bridge() {
    LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(port_), .attach_point = BPF_TC_INGRESS);
    LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = bpf_program__fd(bridge()->progs.sluice_bridge));
    ASSERT_EQ(0, bpf_tc_hook_create(&hook));
    ASSERT_EQ(0, bpf_tc_attach(&hook, &options));
  }
  void redirect_to_near() {
    config_.bridge_mode = SLUICE_BRIDGE_REDIRECT;
    config_.bridge_ifindex = near_;
    apply();
  }
  uint32_t port_ = 0, near_ = 0, far_ = 0;
};

TEST_F(Live, ASocketOnTheQueueGetsTheDataplanesPackets) {
  attach_xdp(port_, steer()->progs.sluice_steer);
  const Descriptor socket = bind_xsk(port_, 1);
  ASSERT_TRUE(socket) << strerror(errno);
  const uint32_t queue = 1;
  const int fd = socket.get();
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), &fd, sizeof(fd), 0));
  set_rules({Rule().dst_port(7).drop(), Rule().dst_port(8).pass(), Rule().dst_port(9).dataplane()});

  const auto udp = [](uint16_t port) { return Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, port).bytes(); };
  EXPECT_EQ("REDIRECT DATAPLANE", xdp(udp(1), port_, 1));
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp(1), port_, 0)) << "the other queue has no socket";
  EXPECT_EQ("DROP DROP", xdp(udp(7), port_, 1));
  EXPECT_EQ("PASS -", xdp(udp(8), port_, 1));
  EXPECT_EQ("REDIRECT DATAPLANE", xdp(udp(9), port_, 1));
  EXPECT_EQ(1u, rule_hits(0, 2).packets);

  EXPECT_EQ(2u, counters(1).packets[SLUICE_VERDICT_DATAPLANE]) << "packets count on the queue that they came by";
  EXPECT_EQ(2 * udp(1).size(), counters(1).bytes[SLUICE_VERDICT_DATAPLANE]);
  EXPECT_EQ(1u, counters(0).packets[SLUICE_VERDICT_NO_SOCKET]);

  ASSERT_EQ(0, bpf_map__delete_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), 0));
  EXPECT_EQ("PASS NO_SOCKET", xdp(udp(1), port_, 1)) << "the socket has left the map";
}

// XDP drops packets beyond the limit and does not count them as delivered. The limit of a queue without a socket has no
// effect.
TEST_F(Live, ALimitedSocketGetsPacketsUpToItsLimit) {
  attach_xdp(port_, steer()->progs.sluice_steer);
  const Descriptor socket = bind_xsk(port_, 1);
  ASSERT_TRUE(socket) << strerror(errno);
  const uint32_t queue = 1;
  const int fd = socket.get();
  ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), &fd, sizeof(fd), 0));
  const auto put = [&](const sluice_queue_credit& credit) {
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0));
  };
  const auto get = [&] {
    sluice_queue_credit credit{};
    bpf_map__lookup_elem(steer()->maps.sluice_credit, &queue, sizeof(queue), &credit, sizeof(credit), 0);
    return credit;
  };
  const Bytes packet = Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).bytes();

  put({.delivered = 0xfffffffe, .limited = 1, .limit = 1});
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ("REDIRECT DATAPLANE", xdp(packet, port_, 1));
  }
  EXPECT_EQ("DROP OVERLOADED", xdp(packet, port_, 1));
  EXPECT_EQ("DROP OVERLOADED", xdp(packet, port_, 1));
  EXPECT_EQ(1u, get().delivered);
  EXPECT_EQ(2u, get().shed);
  put({.delivered = 7, .limited = 0, .limit = 1});
  EXPECT_EQ("REDIRECT DATAPLANE", xdp(packet, port_, 1)) << "the limit was lifted";

  put({.delivered = 7, .limited = 1, .limit = 7});
  ASSERT_EQ(0, bpf_map__delete_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), 0));
  EXPECT_EQ("PASS NO_SOCKET", xdp(packet, port_, 1));
  put({});
}

TEST_F(Live, TheBridgesFarEndGoesToItsSocketOrNowhere) {
  const Bytes packet = Packet().eth().payload(46).bytes();
  attach_xdp(far_, bridge_receiver()->progs.sluice_bridge_rx);
  EXPECT_EQ("DROP", bridge_rx(packet, far_));
  const Descriptor socket = bind_xsk(far_, 0);
  ASSERT_TRUE(socket) << strerror(errno);
  const uint32_t zero = 0;
  const int fd = socket.get();
  ASSERT_EQ(0, bpf_map__update_elem(bridge_receiver()->maps.sluice_brxsks, &zero, sizeof(zero), &fd, sizeof(fd), 0));
  EXPECT_EQ("REDIRECT", bridge_rx(packet, far_));
}

TEST_F(Live, TheBridgeDeliversFramesUnchangedWithTheirTags) {
  attach_bridge();
  redirect_to_near();
  Wire wire("wire"), far("far");
  ASSERT_TRUE(wire.valid() && far.valid());
  const std::vector<std::pair<std::string, Packet>> rows = {
      {"untagged", Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).payload(30)},
      {"tagged", Packet().eth().vlan(10).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).payload(30)},
      {"QinQ", Packet().eth().vlan(10, 0x88a8).vlan(20).ipv6("::1", "::2").udp(1, 2).payload(30)},
      {"large", Packet().eth().vlan(10).ipv4("1.1.1.1", "2.2.2.2").tcp(1, 2).payload(1400)},
  };
  uint64_t bytes = 0;
  for (const auto& [name, packet] : rows) {
    ASSERT_TRUE(wire.send(packet.bytes())) << name;
    EXPECT_EQ(packet.bytes(), far.receive()) << name;
    bytes += packet.bytes().size();
  }
  EXPECT_EQ(rows.size(), all_counters().packets[SLUICE_VERDICT_BRIDGED]);
  EXPECT_EQ(bytes, all_counters().bytes[SLUICE_VERDICT_BRIDGED]) << "bytes of tags in metadata count";
}

TEST_F(Live, RulesSeeATagThatIsInMetadata) {
  attach_bridge();
  redirect_to_near();
  set_rules({Rule().vlan(10).ethertype(0x0800).dst_port(2).drop(), Rule().vlan(20).pass()});
  Wire wire("wire"), far("far");
  ASSERT_TRUE(wire.valid() && far.valid());
  const auto tagged = [](uint16_t id) {
    return Packet().eth().vlan(id).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).payload(30).bytes();
  };
  ASSERT_TRUE(wire.send(tagged(10)) && wire.send(tagged(20)));
  ASSERT_TRUE(wire.send(Packet().eth().vlan(10).vlan(10).vlan(10).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).bytes()));
  EXPECT_FALSE(far.receive());
  EXPECT_EQ(2u, all_counters().packets[SLUICE_VERDICT_DROP]);
  EXPECT_EQ(1u, all_counters().packets[SLUICE_VERDICT_PASS]);
}

TEST_F(Live, ClsactDropsFramesThatEndWithinTheIpHeader) {
  attach_bridge();
  Wire wire("wire");
  ASSERT_TRUE(wire.valid());
  uint64_t sent = 0;
  for (const Packet& packet :
       {Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 2),
        Packet().eth().vlan(10).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2), Packet().eth().ipv6("::1", "::2").udp(1, 2)}) {
    const Bytes whole = packet.bytes();
    for (size_t size = 20; size < whole.size() - 8; ++size, ++sent) {
      ASSERT_TRUE(wire.send(Bytes(whole.begin(), whole.begin() + size))) << size;
    }
  }
  EXPECT_EQ(sent, all_counters().packets[SLUICE_VERDICT_MALFORMED]);
}

// A packet socket puts only the Ethernet header of a frame above a page into the linear part
// (packet_alloc_skb), so clsact must pull the rest in.
TEST_F(Live, ClsactFindsHeadersThatAreNotLinear) {
  ASSERT_TRUE(shell("ip link set wire mtu 9000 && ip link set port mtu 9000"));
  attach_bridge();
  set_rules({Rule().dst_port(53).drop(), Rule().pass()});
  Wire wire("wire");
  ASSERT_TRUE(wire.valid());
  const std::vector<Packet> rows = {
      Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 53).payload(8000),
      Packet().eth().vlan(10).ipv4("1.1.1.1", "2.2.2.2", 10).tcp(1, 53).payload(8000),
      Packet().eth().ipv6("::1", "::2").extension(60, 50).udp(1, 53).payload(8000),
  };
  for (const Packet& packet : rows) {
    ASSERT_TRUE(wire.send(packet.bytes()));
  }
  ASSERT_TRUE(wire.send(Packet().eth().ipv4("1.1.1.1", "2.2.2.2").poke16(2, 9000).udp(1, 53).payload(8000).bytes()));
  EXPECT_EQ(rows.size(), all_counters().packets[SLUICE_VERDICT_DROP]);
  EXPECT_EQ(1u, all_counters().packets[SLUICE_VERDICT_MALFORMED]);
  EXPECT_EQ(0u, all_counters().packets[SLUICE_VERDICT_PASS]);
}

TEST_F(Live, XdpAndBridgeTogetherCountAFrameOnce) {
  attach_bridge();
  redirect_to_near();
  attach_xdp(port_, steer()->progs.sluice_steer);
  set_rules({Rule().dst_port(8).pass()});
  Wire wire("wire"), far("far");
  ASSERT_TRUE(wire.valid() && far.valid());
  const Bytes bridged = Packet().eth().vlan(4).ipv4("1.1.1.1", "2.2.2.2").udp(1, 1).payload(30).bytes();
  ASSERT_TRUE(wire.send(bridged));
  EXPECT_EQ(bridged, far.receive());
  ASSERT_TRUE(wire.send(Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 8).payload(30).bytes()));
  EXPECT_FALSE(far.receive());
  const sluice_counters sum = all_counters();
  EXPECT_EQ(1u, sum.packets[SLUICE_VERDICT_NO_SOCKET]);
  EXPECT_EQ(1u, sum.packets[SLUICE_VERDICT_BRIDGED]);
  EXPECT_EQ(1u, sum.packets[SLUICE_VERDICT_PASS]);
}

// Has the sender leave a tag of this id to its device with every frame: the tag stays in the metadata, and veth hands
// the frame over like that, unless its tx-vlan-offload is off.
void tag_in_metadata(uint32_t ifindex, uint16_t id) {
  const bpf_insn instructions[] = {
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .src_reg = 0, .off = 0, .imm = 0x0081},  // network order
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .src_reg = 0, .off = 0, .imm = id},
      {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_skb_vlan_push},
      {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
      {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
  };
  const Descriptor program(
      bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "push", "GPL", instructions, std::size(instructions), nullptr));
  ASSERT_TRUE(program) << strerror(errno);
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(ifindex), .attach_point = BPF_TC_EGRESS);
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program.get());
  ASSERT_EQ(0, bpf_tc_hook_create(&hook));
  ASSERT_EQ(0, bpf_tc_attach(&hook, &options));
}

// A socket on the queue would get such a frame without its tag; clsact and the bridge keep the tag.
class TagApart : public Live, public ::testing::WithParamInterface<uint32_t> {};

TEST_P(TagApart, IsSeenByTheRulesAndKept) {
  const bool generic = GetParam() == XDP_FLAGS_SKB_MODE;
  attach_bridge();
  redirect_to_near();
  config_.flags |= SLUICE_CONFIG_VETH | (generic ? SLUICE_CONFIG_GENERIC_XDP : 0);
  apply();
  ASSERT_EQ(0, bpf_xdp_attach(port_, bpf_program__fd(steer()->progs.sluice_steer), GetParam(), nullptr));
  // On both queues: the hash by which the kernel sends to one of them differs from boot to boot.
  const std::array<Descriptor, 2> sockets = {bind_xsk(port_, 0), bind_xsk(port_, 1)};
  for (uint32_t queue = 0; queue < sockets.size(); ++queue) {
    ASSERT_TRUE(sockets[queue]) << strerror(errno);
    const int fd = sockets[queue].get();
    ASSERT_EQ(0, bpf_map__update_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), &fd, sizeof(fd), 0));
  }
  Wire wire("wire"), far("far");
  ASSERT_TRUE(wire.valid() && far.valid());
  const Bytes untagged = Packet().eth().ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).payload(30).bytes();
  const Bytes tagged = Packet().eth().vlan(100).ipv4("1.1.1.1", "2.2.2.2").udp(1, 2).payload(30).bytes();

  ASSERT_TRUE(wire.send(untagged));
  if (generic) {
    EXPECT_EQ(untagged, far.receive()) << "XDP cannot tell, so clsact judges all frames";
  } else {
    EXPECT_FALSE(far.receive());
    EXPECT_EQ(1u, all_counters().packets[SLUICE_VERDICT_DATAPLANE]) << "a frame without a tag goes to the socket";
  }
  ASSERT_NO_FATAL_FAILURE(tag_in_metadata(if_nametoindex("wire"), 100));
  clear_counters();
  ASSERT_TRUE(wire.send(untagged));
  EXPECT_EQ(tagged, far.receive());
  EXPECT_EQ(1u, all_counters().packets[SLUICE_VERDICT_BRIDGED]);
  EXPECT_EQ(0u, all_counters().packets[SLUICE_VERDICT_DATAPLANE]);
  set_rules({Rule().vlan(100).drop()});
  ASSERT_TRUE(wire.send(untagged));
  EXPECT_FALSE(far.receive());
  EXPECT_EQ(1u, all_counters().packets[SLUICE_VERDICT_DROP]);
  ASSERT_TRUE(shell("ethtool -K wire txvlan off >/dev/null"));
  ASSERT_TRUE(wire.send(untagged));
  EXPECT_FALSE(far.receive());
  EXPECT_EQ(2u, all_counters().packets[SLUICE_VERDICT_DROP]) << "the tag is in the frame now";
  for (uint32_t queue = 0; queue < sockets.size(); ++queue) {
    ASSERT_EQ(0, bpf_map__delete_elem(steer()->maps.sluice_xsks, &queue, sizeof(queue), 0));
  }
}
INSTANTIATE_TEST_SUITE_P(Live, TagApart, ::testing::Values(XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE),
                         [](const auto& info) { return info.param == XDP_FLAGS_DRV_MODE ? "Native" : "Generic"; });

TEST_F(Live, ObjectsLoadedIntoOneFolderShareTheirMaps) {
  ASSERT_EQ(0, mkdir("/sys/fs/bpf/port", 0700));
  LIBBPF_OPTS(bpf_object_open_opts, options, .pin_root_path = "/sys/fs/bpf/port");
  struct sluice_steer* one = sluice_steer::open(&options);
  struct sluice_bridge* other = sluice_bridge::open(&options);
  struct sluice_bridge_rx* receiver = sluice_bridge_rx::open(&options);
  struct sluice_to_kernel* near = sluice_to_kernel::open(&options);
  ASSERT_TRUE(one && other && receiver && near);
  ASSERT_EQ(0, sluice_steer::load(one));
  ASSERT_EQ(0, sluice_bridge::load(other));
  ASSERT_EQ(0, sluice_bridge_rx::load(receiver));
  ASSERT_EQ(0, sluice_to_kernel::load(near));
  for (const char* name : {SLUICE_MAP_XSKS, SLUICE_MAP_CONFIG, SLUICE_MAP_RULES, SLUICE_MAP_RULE_HITS,
                           SLUICE_MAP_LOCALS, SLUICE_MAP_COUNTERS, SLUICE_MAP_BRIDGE_XSKS, SLUICE_MAP_TO_KERNEL}) {
    EXPECT_TRUE(Descriptor(bpf_obj_get((std::string("/sys/fs/bpf/port/") + name).c_str()))) << name;
  }
  const auto map_id = [](const bpf_map* map) {
    bpf_map_info info = {};
    __u32 size = sizeof(info);
    bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size);
    return info.id;
  };
  EXPECT_EQ(map_id(one->maps.sluice_config), map_id(other->maps.sluice_config));
  EXPECT_EQ(map_id(one->maps.sluice_config), map_id(near->maps.sluice_config));
  EXPECT_EQ(map_id(one->maps.sluice_counters), map_id(other->maps.sluice_counters));
  sluice_steer::destroy(one);
  sluice_bridge::destroy(other);
  sluice_bridge_rx::destroy(receiver);
  sluice_to_kernel::destroy(near);
}

// The agent checks programs that it did not load in this way.
TEST_F(Programs, TheAbiVersionIsFoundFromTheProgramAlone) {
  for (const int program :
       {bpf_program__fd(steer()->progs.sluice_steer), bpf_program__fd(bridge()->progs.sluice_bridge),
        bpf_program__fd(bridge_receiver()->progs.sluice_bridge_rx),
        bpf_program__fd(near_end()->progs.sluice_to_kernel)}) {
    __u32 ids[32];
    bpf_prog_info info = {};
    info.nr_map_ids = 32;
    info.map_ids = reinterpret_cast<uintptr_t>(ids);
    __u32 size = sizeof(info);
    ASSERT_EQ(0, bpf_obj_get_info_by_fd(program, &info, &size));
    int found = 0;
    for (__u32 i = 0; i < info.nr_map_ids; ++i) {
      const Descriptor map(bpf_map_get_fd_by_id(ids[i]));
      bpf_map_info map_info = {};
      size = sizeof(map_info);
      ASSERT_EQ(0, bpf_obj_get_info_by_fd(map.get(), &map_info, &size));
      if (!strstr(map_info.name, ".rodata")) {
        continue;
      }
      const __u32 zero = 0;
      __u32 version = 0;
      ASSERT_EQ(sizeof(version), map_info.value_size);
      ASSERT_EQ(0, bpf_map_lookup_elem(map.get(), &zero, &version));
      EXPECT_EQ(static_cast<__u32>(SLUICE_ABI_VERSION), version);
      ++found;
    }
    EXPECT_EQ(1, found);
  }
}

}  // namespace
}  // namespace sluice::bpf_test
