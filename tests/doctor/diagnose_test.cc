// Tests each check with invented facts: a good machine and a good port, with one fact changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control/doctor/doctor.h"
#include "dataplane/contract/umem_layout.h"

namespace sluice {
namespace {

using wire::SEVERITY_ERROR;
using wire::SEVERITY_NOTE;
using wire::SEVERITY_OK;
using wire::SEVERITY_WARNING;

MachineFacts GoodMachine() {
  MachineFacts machine;
  machine.kernel_release = "7.3.0";
  machine.has_btf = true;
  machine.online_cpus = 4;
  machine.possible_cpus = 4;
  machine.can_lock_memory = true;
  return machine;
}

uint64_t Bit(VirtioFeature feature) {
  return uint64_t{1} << static_cast<uint32_t>(feature);
}

PortFacts GoodPort() {
  PortFacts port;
  port.name = "wan";
  port.netdev = "eth1";
  port.driver = "virtio_net";
  port.up = true;
  port.carrier = true;
  port.mtu_bytes = 1500;
  port.frame_size_bytes = 2048;
  port.channels = Channels{4, 4};
  port.queue_pairs_wanted = 4;
  port.has_rss = true;
  port.virtio = VirtioDevice{"virtio1",
                             Bit(VirtioFeature::kVersion1) | Bit(VirtioFeature::kCtrlVq) | Bit(VirtioFeature::kMq) |
                                 Bit(VirtioFeature::kMrgRxbuf) | Bit(VirtioFeature::kCtrlGuestOffloads) |
                                 Bit(VirtioFeature::kRingReset) | Bit(VirtioFeature::kAccessPlatform) |
                                 Bit(VirtioFeature::kRss) | Bit(VirtioFeature::kHashReport),
                             true};
  port.rx_drops = RxDrops();
  port.dropped_in_xdp = 0;
  port.self_test = {true, "a frame reached the dataplane"};
  port.irq_cpus = {{0}, {1}, {2}, {3}};
  return port;
}

void Clear(PortFacts& port, VirtioFeature feature) {
  port.virtio->features &= ~Bit(feature);
}
void Set(PortFacts& port, VirtioFeature feature) {
  port.virtio->features |= Bit(feature);
}

TEST(DiagnoseTest, EveryCheckReportsThatAllIsWell) {
  const std::vector<wire::Finding> findings = Diagnose(GoodMachine(), {GoodPort()});
  std::vector<std::string> checks;
  for (const wire::Finding& finding : findings) {
    EXPECT_EQ(finding.severity(), SEVERITY_OK) << finding.DebugString();
    EXPECT_FALSE(finding.what().empty());
    checks.push_back(finding.check());
  }
  EXPECT_THAT(checks,
              testing::ElementsAre("kernel", "btf", "memlock", "driver", "link", "self_test", "modern", "multiqueue",
                                   "queue_pairs", "xdp_queues", "steering", "vlan_tags", "mtu", "receive_buffers",
                                   "guest_offloads", "rx_drops", "napi_tx", "ring_reset", "zero_copy", "irq_affinity"));
}

TEST(DiagnoseTest, EveryPortIsNamed) {
  PortFacts lan = GoodPort();
  lan.name = "lan";
  for (const wire::Finding& finding : Diagnose(GoodMachine(), {lan})) {
    const bool of_machine = finding.check() == "kernel" || finding.check() == "btf" || finding.check() == "memlock";
    EXPECT_EQ(finding.port(), of_machine ? "" : "lan") << finding.check();
  }
}

struct Case {
  const char* name;
  const char* check;
  std::function<void(MachineFacts&, PortFacts&)> change;
  wire::Severity severity;
  const char* what;  // substrings of the finding's texts
  const char* cost;
  const char* fix;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}

class CheckTest : public testing::TestWithParam<Case> {};

TEST_P(CheckTest, OneFinding) {
  const Case& c = GetParam();
  MachineFacts machine = GoodMachine();
  PortFacts port = GoodPort();
  c.change(machine, port);
  std::vector<wire::Finding> findings;
  for (const wire::Finding& finding : Diagnose(machine, {port})) {
    if (finding.check() == c.check) {
      findings.push_back(finding);
    }
  }
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].severity(), c.severity) << findings[0].DebugString();
  EXPECT_THAT(findings[0].what(), testing::HasSubstr(c.what));
  EXPECT_THAT(findings[0].cost(), testing::HasSubstr(c.cost));
  EXPECT_THAT(findings[0].fix(), testing::HasSubstr(c.fix));
  if (c.severity != SEVERITY_OK) {
    EXPECT_FALSE(findings[0].cost().empty());
  }
}

using M = MachineFacts;
using P = PortFacts;
using F = VirtioFeature;

const Case kCases[] = {
    {"Unfit", "driver", [](M&, P& p) { p.unfit = "it is a bond"; }, SEVERITY_ERROR,
     "eth1 cannot be a port: it is a bond", "does not start", "another netdev for port wan"},
    {"KernelTooOld", "kernel", [](M& m, P&) { m.kernel_release = "5.10.0-30-amd64"; }, SEVERITY_ERROR,
     "5.10.0-30-amd64 is older than 5.11", "share one memory", "6.1"},
    {"KernelNotTested", "kernel", [](M& m, P&) { m.kernel_release = "5.14.0-503.el9"; }, SEVERITY_WARNING,
     "older than 6.1", "not tested", "6.1"},
    {"KernelMinimum", "kernel", [](M& m, P&) { m.kernel_release = "6.1.0-18-amd64"; }, SEVERITY_OK, "6.1.0", "", ""},
    {"KernelTwoDigitMinor", "kernel", [](M& m, P&) { m.kernel_release = "6.12.1"; }, SEVERITY_OK, "6.12", "", ""},
    {"KernelUnreadable", "kernel", [](M& m, P&) { m.kernel_release = "mine"; }, SEVERITY_NOTE, "mine", "too old",
     "6.1"},
    {"NoBtf", "btf", [](M& m, P&) { m.has_btf = false; }, SEVERITY_WARNING, "no BTF", "dispatcher",
     "CONFIG_DEBUG_INFO_BTF"},
    {"MemlockTooSmall", "memlock",
     [](M& m, P&) {
       m.can_lock_memory = false;
       m.memlock_bytes = 8 << 20;
     },
     SEVERITY_WARNING, "8192 KiB", "40960 KiB", "LimitMEMLOCK=infinity"},
    {"MemlockEnough", "memlock",
     [](M& m, P&) {
       m.can_lock_memory = false;
       m.memlock_bytes = 64 << 20;
     },
     SEVERITY_NOTE, "65536 KiB", "bounds", "CAP_IPC_LOCK"},
    {"MemlockUnlimited", "memlock", [](M& m, P&) { m.can_lock_memory = false; }, SEVERITY_OK, "not limited", "", ""},
    {"MemlockWithCapability", "memlock", [](M& m, P&) { m.memlock_bytes = 1; }, SEVERITY_OK, "not limited", "", ""},
    {"Veth", "driver",
     [](M&, P& p) {
       p.driver = "veth";
       p.virtio.reset();
     },
     SEVERITY_NOTE, "eth1 is driven by veth", "made for virtio_net", ""},
    {"SelfTestWithParts", "self_test", [](M&, P& p) { p.self_test = {false, "zero-copy mode has no way"}; },
     SEVERITY_NOTE, "no way", "would show only in traffic", ""},
    {"NoSelfTest", "self_test", [](M&, P& p) { p.self_test.reset(); }, SEVERITY_NOTE, "since sluice-agent started",
     "would show only in traffic", "stop sluice-agent"},
    {"LinkSetDown", "link",
     [](M&, P& p) {
       p.up = false;
       p.carrier = false;
     },
     SEVERITY_WARNING, "the link is down: somebody set it down", "no packet", "ip link set eth1 up"},
    {"NoCarrier", "link", [](M&, P& p) { p.carrier = false; }, SEVERITY_WARNING, "no carrier", "no packet",
     "virsh domif-setlink"},
    {"NoCarrierElsewhere", "link",
     [](M&, P& p) {
       p.carrier = false;
       p.virtio.reset();
     },
     SEVERITY_WARNING, "no carrier", "no packet", "the other end"},
    {"Legacy", "modern", [](M&, P& p) { Clear(p, F::kVersion1); }, SEVERITY_WARNING, "legacy", "no RSS",
     "-device virtio-net-pci,disable-legacy=on"},
    {"NoControlQueue", "multiqueue", [](M&, P& p) { Clear(p, F::kCtrlVq); }, SEVERITY_WARNING, "VIRTIO_NET_F_CTRL_VQ",
     "cannot be changed", "ctrl_vq=on"},
    {"NoMultiqueue", "multiqueue", [](M&, P& p) { Clear(p, F::kMq); }, SEVERITY_WARNING, "VIRTIO_NET_F_MQ",
     "more than one core",
     "QEMU: -netdev tap,queues=4,… -device virtio-net-pci,mq=on,vectors=10\n"
     "libvirt: <driver queues='4'/>\n"
     "KubeVirt: networkInterfaceMultiqueue: true"},
    {"MoreWantedThanThere", "queue_pairs",
     [](M&, P& p) {
       p.channels = Channels{2, 2};
     },
     SEVERITY_ERROR, "2 of 2 queue pairs in use, 4 wanted, 4 CPUs online", "more than 2", "<driver queues='4'/>"},
    {"MoreWantedThanThereOnVeth", "queue_pairs",
     [](M&, P& p) {
       p.virtio.reset();
       p.channels = Channels{2, 2};
     },
     SEVERITY_ERROR, "4 wanted", "more than 2", "queue_pairs = 2"},
    {"MorePairsThanCpus", "queue_pairs", [](M& m, P&) { m.online_cpus = 2; }, SEVERITY_NOTE, "2 CPUs online",
     "more pairs than CPUs", "queue_pairs = 2"},
    {"FewerPairsThanCpus", "queue_pairs", [](M& m, P&) { m.online_cpus = 8; }, SEVERITY_NOTE, "8 CPUs online",
     "more than 4 CPUs", "<driver queues='8'/>"},
    {"NoChannels", "queue_pairs", [](M&, P& p) { p.channels.reset(); }, SEVERITY_NOTE, "does not say", "channels lever",
     ""},
    {"XdpTakesExtraQueues", "xdp_queues",
     [](M&, P& p) {
       p.channels = Channels{4, 8};
     },
     SEVERITY_ERROR, "8 queue pairs, the guest 4 possible CPUs", "never leaves", "queues=4,"},
    {"XdpWouldTakeExtraQueuesLater", "xdp_queues",
     [](M&, P& p) {
       p.channels = Channels{6, 6};
       p.queue_pairs_wanted = 6;
     },
     SEVERITY_WARNING, "6 queue pairs", "with 2 pairs or fewer", "queues=4,"},
    {"XdpQueuesOfOthers", "xdp_queues",
     [](M&, P& p) {
       p.virtio.reset();
       p.channels = Channels{4, 64};
     },
     SEVERITY_OK, "adds no queue pairs", "", ""},
    {"AutomaticSteering", "steering", [](M&, P& p) { p.has_rss = false; }, SEVERITY_NOTE, "no RSS", "4,096 flows",
     "rss=on,hash=on\nlibvirt: <driver rss='on' rss_hash_report='on'/>"},
    {"NoRssElsewhere", "steering",
     [](M&, P& p) {
       p.has_rss = false;
       p.virtio.reset();
     },
     SEVERITY_NOTE, "no RSS", "spread lever", ""},
    {"RssWithoutHash", "steering", [](M&, P& p) { Clear(p, F::kHashReport); }, SEVERITY_WARNING, "without hash report",
     "queue 0", "hash=on"},
    {"TagsTakenOff", "vlan_tags", [](M&, P& p) { p.tags = TagPlace::kTakenOff; }, SEVERITY_ERROR, "takes VLAN tags off",
     "refuses the device", "rxvlan off"},
    {"TagsOfVeth", "vlan_tags", [](M&, P& p) { p.tags = TagPlace::kBesideFrame; }, SEVERITY_OK, "are seen", "", ""},
    {"TagsOfVethInSkbMode", "vlan_tags",
     [](M&, P& p) {
       p.tags = TagPlace::kBesideFrame;
       p.xdp_is_skb = true;
     },
     SEVERITY_WARNING, "skb mode on veth", "by the bridge", "mode = \"auto\""},
    {"MtuTooLarge", "mtu", [](M&, P& p) { p.mtu_bytes = 9000; }, SEVERITY_ERROR, "MTU 9000", "several buffers",
     "ip link set eth1 mtu 1500"},
    {"MtuGrewSinceTheStart", "mtu", [](M&, P& p) { p.mtu_bytes = 3000; }, SEVERITY_ERROR,
     "needs frames of 4096 bytes, they have 2048", "dropped", "stop sluice-agent, then start it"},
    {"LargeMtu", "mtu",
     [](M&, P& p) {
       p.mtu_bytes = 3000;
       p.frame_size_bytes = 4096;
     },
     SEVERITY_OK, "MTU 3000 fits frames of 4096 bytes", "", ""},
    {"SmallMtuInTheFramesOfAPortWithALargeOne", "mtu", [](M&, P& p) { p.frame_size_bytes = 4096; }, SEVERITY_OK,
     "MTU 1500 fits frames of 4096 bytes", "", ""},
    {"MtuWithoutAnAgent", "mtu",
     [](M&, P& p) {
       p.mtu_bytes = 3000;
       p.frame_size_bytes.reset();
     },
     SEVERITY_OK, "takes MTU 3000, with frames of 4096 bytes", "", ""},
    {"NoMergeableBuffers", "receive_buffers", [](M&, P& p) { Clear(p, F::kMrgRxbuf); }, SEVERITY_WARNING,
     "VIRTIO_NET_F_MRG_RXBUF", "XDP does not run", "<host mrg_rxbuf='on'/>"},
    {"GuestOffloads", "guest_offloads",
     [](M&, P& p) {
       Set(p, F::kGuestCsum);
       Set(p, F::kGuestTso4);
     },
     SEVERITY_NOTE, "guest_csum, guest_tso4", "6,194 to 8,428 retransmissions",
     "QEMU: -device virtio-net-pci,guest_csum=off,guest_tso4=off\nlibvirt: <guest csum='off' tso4='off'"},
    {"GuestOffloadsForGood", "guest_offloads",
     [](M&, P& p) {
       Set(p, F::kGuestUso6);
       Clear(p, F::kCtrlGuestOffloads);
     },
     SEVERITY_WARNING, "VIRTIO_NET_F_CTRL_GUEST_OFFLOADS", "refuses native XDP", "guest_uso6=off"},
    {"NoRxDropsCounted", "rx_drops", [](M&, P& p) { p.rx_drops.reset(); }, SEVERITY_NOTE, "does not say", "go unseen",
     ""},
    {"PartialChecksumsDropped", "rx_drops",
     [](M&, P& p) {
       Set(p, F::kGuestCsum);
       p.rx_drops = RxDrops{15, 15};
       p.dropped_in_xdp = 3;
     },
     SEVERITY_WARNING, "rx_drops 15, xdp_drops 15: 12 that no rule", "partial checksum",
     "QEMU: -device virtio-net-pci,guest_csum=off\nlibvirt: <guest csum='off'"},
    {"DropsOfRules", "rx_drops",
     [](M&, P& p) {
       Set(p, F::kGuestCsum);
       p.rx_drops = RxDrops{15, 15};
       p.dropped_in_xdp = 15;
     },
     SEVERITY_OK, "rules and full sockets account for them", "", ""},
    {"DropsWithoutAnAgentToAsk", "rx_drops",
     [](M&, P& p) {
       Set(p, F::kGuestCsum);
       p.rx_drops = RxDrops{15, 15};
       p.dropped_in_xdp.reset();
     },
     SEVERITY_WARNING, "only the agent can tell", "partial checksum", "guest_csum=off"},
    {"DropsThatWereNoPartialChecksums", "rx_drops",
     [](M&, P& p) {
       p.rx_drops = RxDrops{1, 1};
     },
     SEVERITY_NOTE, "1 that no rule", "no guest offloads", "ethtool -S eth1"},
    {"DropsWithoutXdp", "rx_drops",
     [](M&, P& p) {
       Set(p, F::kGuestCsum);
       p.rx_drops = RxDrops{9, 2};
       p.dropped_in_xdp = 2;
     },
     SEVERITY_NOTE, "rx_drops 9, xdp_drops 2: 7 without XDP", "buffers", "ethtool -S eth1"},
    {"NapiTxOff", "napi_tx", [](M&, P& p) { p.virtio->napi_tx = false; }, SEVERITY_ERROR, "napi_tx=0", "overwritten",
     "options virtio_net napi_tx=1"},
    {"NapiTxLost", "napi_tx", [](M&, P& p) { p.frames_sent_unread = 256; }, SEVERITY_WARNING, "lost its NAPI",
     "256 for each queue pair", "ethtool -C eth1 tx-frames 1"},
    {"NapiTxUnknown", "napi_tx", [](M&, P& p) { p.virtio->napi_tx.reset(); }, SEVERITY_NOTE, "cannot be read",
     "were it off", "napi_tx=1"},
    {"NoRingReset", "ring_reset", [](M&, P& p) { Clear(p, F::kRingReset); }, SEVERITY_NOTE, "VIRTIO_F_RING_RESET",
     "no zero-copy", "queue_reset=on"},
    {"KernelWithoutZeroCopy", "zero_copy", [](M& m, P&) { m.kernel_release = "6.12.48"; }, SEVERITY_NOTE, "6.12.48",
     "copy mode", "newer kernel"},
    {"ZeroCopyWithoutPlatformAccess", "zero_copy", [](M&, P& p) { Clear(p, F::kAccessPlatform); }, SEVERITY_NOTE,
     "without VIRTIO_F_ACCESS_PLATFORM", "copied once", "iommu_platform=on"},
    {"ZeroCopyWithoutSeveral", "zero_copy",
     [](M&, P& p) {
       Clear(p, F::kRingReset);
       Clear(p, F::kMrgRxbuf);
     },
     SEVERITY_NOTE, "VIRTIO_F_RING_RESET, VIRTIO_NET_F_MRG_RXBUF", "copied once", "<driver iommu='on'/>"},
    {"ZeroCopyWithALoadedDriver", "zero_copy", [](M&, P& p) { p.virtio->driver_is_module = true; }, SEVERITY_NOTE,
     "loadable module", "count as sent", "CONFIG_VIRTIO_NET=y"},
    {"SharedIrqCpu", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{0}, {1}, {2}, {2}};
     },
     SEVERITY_WARNING, "queues 2 and 3 on CPU 2", "after one another", "stop irqbalance"},
    {"SharedIrqCpuForLackOfCpus", "irq_affinity",
     [](M& m, P& p) {
       m.online_cpus = 2;
       p.irq_cpus = {{0}, {1}, {0}, {1}};
     },
     SEVERITY_NOTE, "queues 0 and 2 on CPU 0; queues 1 and 3 on CPU 1", "more queue pairs than CPUs",
     "queue_pairs = 2"},
    {"MisplacedIrqs", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{1}, {0}, {2}, {3}};
     },
     SEVERITY_NOTE, "queue 1 on CPU 0; queue 0 on CPU 1", "another queue", "c mod 4 = i"},
    {"HigherCpuOfTheSameRemainder", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{4}, {5}, {2}, {3}};
     },
     SEVERITY_OK, "a CPU of their own", "", ""},
    {"LooseIrqs", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{0, 1, 2, 3}, {1}, {2}, {3}};
     },
     SEVERITY_NOTE, "queues 0 may go to several", "caches", "irqbalance"},
    {"NoIrqsOnVirtio", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{}, {}, {}, {}};
     },
     SEVERITY_NOTE, "no queue has its own interrupt", "one CPU", "vectors=10"},
    {"NoIrqsElsewhere", "irq_affinity",
     [](M&, P& p) {
       p.irq_cpus = {{}, {}};
       p.virtio.reset();
     },
     SEVERITY_OK, "nothing to place", "", ""},
    {"OneQueueWithoutIrq", "irq_affinity", [](M&, P& p) { p.irq_cpus = {{0}, {1}, {2}, {}}; }, SEVERITY_NOTE,
     "without an interrupt: 3", "wakes", "vectors=10"},
};
INSTANTIATE_TEST_SUITE_P(Doctor, CheckTest, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(DiagnoseTest, VirtioChecksAreLeftOutElsewhere) {
  PortFacts port = GoodPort();
  port.virtio.reset();
  std::vector<std::string> checks;
  for (const wire::Finding& finding : Diagnose(GoodMachine(), {port})) {
    checks.push_back(finding.check());
  }
  EXPECT_THAT(checks, testing::ElementsAre("kernel", "btf", "memlock", "driver", "link", "self_test", "queue_pairs",
                                           "xdp_queues", "steering", "vlan_tags", "mtu", "irq_affinity"));
}

// The limit must be exactly that of all lanes: one for each pair, and the bridge lane, each as the agent makes it.
TEST(DiagnoseTest, MemlockCountsTheLanesThatTheAgentMakes) {
  PortFacts large = GoodPort();
  large.name = "lan";
  large.frame_size_bytes = 4096;
  PortFacts unmade = GoodPort();  // no agent, so the frames would have the size that the MTU asks for
  unmade.mtu_bytes = 3000;
  unmade.frame_size_bytes.reset();
  const struct {
    std::vector<PortFacts> ports;
    uint64_t lane_bytes;
  } cases[] = {
      {{unmade}, LaneLayout(1, 4096).frames_bytes()},
      {{GoodPort()}, LaneLayout(1, 2048).frames_bytes()},
      {{GoodPort(), GoodPort()}, LaneLayout(2, 2048).frames_bytes()},
      {{GoodPort(), large}, LaneLayout(2, 4096).frames_bytes()},
  };
  for (const auto& c : cases) {
    const uint64_t lanes = c.ports.front().queue_pairs_wanted + 1;
    MachineFacts machine = GoodMachine();
    machine.can_lock_memory = false;
    machine.memlock_bytes = lanes * c.lane_bytes;
    EXPECT_EQ(Diagnose(machine, c.ports)[2].severity(), SEVERITY_NOTE) << c.lane_bytes;
    --*machine.memlock_bytes;
    EXPECT_EQ(Diagnose(machine, c.ports)[2].severity(), SEVERITY_WARNING) << c.lane_bytes;
  }
}

}  // namespace
}  // namespace sluice
