#include "control/doctor/facts.h"

#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cap-ng.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control/kernel/affinity.h"
#include "control/kernel/device_gate.h"
#include "control/kernel/links.h"
#include "dataplane/base/cpu_list.h"

namespace sluice {
namespace {

// Lists the CPUs that interrupts of a queue may go to; empty when it has no interrupt, or none any more.
std::vector<uint32_t> IrqCpus(const std::string& netdev, uint32_t queue) {
  std::set<uint32_t> cpus;
  const absl::StatusOr<std::vector<uint32_t>> irqs = QueueIrqs(netdev, queue);
  if (irqs.ok()) {
    for (const uint32_t irq : *irqs) {
      const absl::StatusOr<std::vector<uint32_t>> list =
          ReadCpuList(absl::StrCat("/proc/irq/", irq, "/smp_affinity_list"));
      if (list.ok()) {
        cpus.insert(list->begin(), list->end());
      }
    }
  }
  return {cpus.begin(), cpus.end()};
}

}  // namespace

absl::StatusOr<MachineFacts> CollectMachineFacts() {
  MachineFacts facts;
  utsname name{};
  if (uname(&name) != 0) {
    return absl::ErrnoToStatus(errno, "uname");
  }
  facts.kernel_release = name.release;
  facts.has_btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;

  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  if (!online.ok()) {
    return online.status();
  }
  facts.online_cpus = static_cast<uint32_t>(online->size());
  const absl::StatusOr<uint32_t> possible = PossibleCpuIds();
  if (!possible.ok()) {
    return possible.status();
  }
  facts.possible_cpus = *possible;

  rlimit limit{};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) {
    return absl::ErrnoToStatus(errno, "getrlimit(RLIMIT_MEMLOCK)");
  }
  if (limit.rlim_cur != RLIM_INFINITY) {
    facts.memlock_bytes = limit.rlim_cur;
  }
  capng_clear(CAPNG_SELECT_BOTH);
  facts.can_lock_memory = capng_get_caps_process() == 0 && capng_have_capability(CAPNG_EFFECTIVE, CAP_IPC_LOCK) != 0;
  return facts;
}

absl::StatusOr<PortFacts> CollectPortFacts(const PortToExamine& port) {
  PortFacts facts;
  facts.name = port.name;
  facts.queue_pairs_wanted = port.queue_pairs_wanted;
  facts.frame_size_bytes = port.frame_size_bytes;
  facts.dropped_in_xdp = port.dropped_in_xdp;
  facts.self_test = port.self_test;

  const absl::StatusOr<Link> link = GetLink(port.netdev);
  if (!link.ok()) {
    return link.status();
  }
  facts.netdev = link->name;
  facts.up = link->up;
  facts.carrier = link->carrier;
  facts.mtu_bytes = link->mtu_bytes;
  const absl::StatusOr<GateFacts> gate = ReadGateFacts(*link);
  if (!gate.ok()) {
    return gate.status();
  }
  facts.virtio = gate->virtio;
  facts.driver = gate->driver;
  facts.unfit = std::string(CheckGate(*gate).message());

  facts.tags = PlaceOfTags(facts.netdev);
  facts.xdp_is_skb = IsXdpGeneric(link->ifindex);

  // A driver that cannot tell one of these is no error.
  if (const absl::StatusOr<Channels> channels = GetChannels(facts.netdev); channels.ok()) {
    facts.channels = *channels;
  }
  if (const absl::StatusOr<std::vector<uint32_t>> table = GetRssTable(facts.netdev); table.ok()) {
    facts.has_rss = !table->empty();
  }
  facts.rx_drops = RxDropsWatch(facts.netdev).Read();
  const uint32_t current = facts.channels.has_value() ? facts.channels->combined : 1;
  if (facts.virtio.has_value()) {
    facts.frames_sent_unread = FramesSentUnread(facts.netdev, *facts.virtio, current).value_or(0);
  }
  for (uint32_t queue = 0; queue < current; ++queue) {
    facts.irq_cpus.push_back(IrqCpus(facts.netdev, queue));
  }
  return facts;
}

}  // namespace sluice
