#include "control/doctor/checks_port.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/kernel/device_limits.h"

namespace sluice::doctor {
namespace {

// Returns the number of pairs for which Sluice has, or will have, a socket.
uint32_t PairsInUse(const PortFacts& port) {
  const uint32_t current = port.channels.has_value() ? port.channels->combined : 1;
  return std::max(current, port.queue_pairs_wanted);
}

}  // namespace

void CheckDriver(const MachineFacts&, const PortFacts& port, Report& report) {
  const std::string what =
      absl::StrCat(port.netdev, " is driven by ", port.driver.empty() ? "an unknown driver" : port.driver);
  if (!port.unfit.empty()) {
    report.Error(absl::StrCat(port.netdev, " cannot be a port: ", port.unfit), "sluice-agent does not start with it",
                 absl::StrCat("another netdev for port ", port.name, " in the configuration"));
  } else if (port.virtio.has_value()) {
    report.Ok(absl::StrCat(what, " (", port.virtio->name, ")"));
  } else {
    report.Note(what,
                "Sluice is made for virtio_net, and tested with that and veth; on other drivers the checks tell less",
                "");
  }
}

void CheckQueuePairs(const MachineFacts& machine, const PortFacts& port, Report& report) {
  if (!port.channels.has_value()) {
    report.Note("the driver does not say how many queue pairs it has", "the channels lever cannot be used", "");
    return;
  }
  const uint32_t max = port.channels->max_combined;
  const std::string what = absl::StrCat(port.channels->combined, " of ", max, " queue pairs in use, ",
                                        port.queue_pairs_wanted, " wanted, ", machine.online_cpus, " CPUs online");
  if (port.queue_pairs_wanted > max) {
    report.Error(
        what, absl::StrCat("the device cannot have more than ", max),
        port.virtio.has_value() ? QueuesFix(port.queue_pairs_wanted) : absl::StrCat("[dataplane] queue_pairs = ", max));
  } else if (port.queue_pairs_wanted > machine.online_cpus) {
    report.Note(what, "more pairs than CPUs: some share one, and two of a device on one CPU do not add speed",
                absl::StrCat("[dataplane] queue_pairs = ", machine.online_cpus));
  } else if (port.virtio.has_value() && max < machine.online_cpus) {
    report.Note(what, absl::StrCat("this port's work cannot spread over more than ", max, " CPUs"),
                QueuesFix(machine.online_cpus));
  } else {
    report.Ok(what);
  }
}

void CheckXdpQueues(const MachineFacts& machine, const PortFacts& port, Report& report) {
  if (!port.virtio.has_value() || !port.channels.has_value()) {
    report.Ok("attaching XDP adds no queue pairs");
    return;
  }
  const uint32_t max = port.channels->max_combined;
  const uint32_t cpus = machine.possible_cpus;
  const absl::Status extra = CheckNoExtraXdpQueues(port.netdev, port.queue_pairs_wanted, max, cpus, true);
  const std::string what = absl::StrCat("the device has ", max, " queue pairs, the guest ", cpus, " possible CPUs");
  if (!extra.ok()) {
    report.Error(what,
                 absl::StrCat("attaching XDP adds ", cpus, " pairs to the ", port.queue_pairs_wanted,
                              " wanted; they get traffic, and what is sent on them never leaves"),
                 QueuesFix(cpus));
  } else if (max > cpus) {
    report.Warning(what,
                   absl::StrCat("with ", max - cpus,
                                " pairs or fewer, XDP would add pairs that cannot transmit: "
                                "resizes to that are refused"),
                   QueuesFix(cpus));
  } else {
    report.Ok(absl::StrCat(what, ": attaching XDP adds none"));
  }
}

void CheckSteering(const MachineFacts&, const PortFacts& port, Report& report) {
  if (!port.has_rss) {
    report.Note(
        "no RSS table: the device chooses a flow's queue by itself",
        port.virtio.has_value()
            ? "the spread lever is not there; a tap follows the queue a flow was last sent on, forgets it after "
              "3 s, and stops at 4,096 flows; a vhost-user switch does not follow, and may drop, unseen by the "
              "guest, packets for pairs that a resize closes"
            : "the spread lever is not there",
        port.virtio.has_value() ? Fix({"rss=on,hash=on", "<driver rss='on' rss_hash_report='on'/>", ""}) : "");
  } else if (port.virtio.has_value() && !port.virtio->Has(VirtioFeature::kHashReport)) {
    report.Warning("RSS without hash report", "QEMU then sends everything to queue 0",
                   Fix({"rss=on,hash=on", "<driver rss='on' rss_hash_report='on'/>", ""}));
  } else {
    report.Ok("RSS table: the spread lever resizes without taking XDP off");
  }
}

void CheckLink(const MachineFacts&, const PortFacts& port, Report& report) {
  const std::string cost = "no packet comes in or leaves";
  if (!port.up) {
    report.Warning("the link is down: somebody set it down, or nobody set it up yet", cost,
                   absl::StrCat("ip link set ", port.netdev, " up; or start sluice-agent, which does so"));
  } else if (!port.carrier) {
    report.Warning("the link is down: the other end gives no carrier", cost,
                   port.virtio.has_value()
                       ? "QEMU's monitor: set_link ID on\nlibvirt: virsh domif-setlink DOMAIN INTERFACE up"
                       : "set the other end up");
  } else {
    report.Ok("the link is up");
  }
}

void CheckSelfTest(const MachineFacts&, const PortFacts& port, Report& report) {
  const std::string cost = "a queue whose packets do not reach the dataplane would show only in traffic";
  if (!port.self_test.has_value()) {
    report.Note("no self-test since sluice-agent started: it tests a port that does not steer packets yet", cost,
                "stop sluice-agent, then start it: a mere restart leaves traffic running");
  } else if (!port.self_test->complete) {
    report.Note(port.self_test->words, cost, "");
  } else {
    report.Ok(port.self_test->words);
  }
}

void CheckVlanTags(const MachineFacts&, const PortFacts& port, Report& report) {
  if (port.tags == TagPlace::kTakenOff) {
    report.Error("the device takes VLAN tags off received frames",
                 "XDP, the rules and the function would take them for untagged ones, so the agent refuses the device",
                 KeepTagsFix(port.netdev));
  } else if (port.tags == TagPlace::kInFrame) {
    report.Ok("VLAN tags come in the frame");
  } else if (port.xdp_is_skb) {
    report.Warning("skb mode on veth: XDP does not see a VLAN tag that the sender leaves to its device",
                   "every packet goes by the bridge, where tags are seen: right, but slow, and by one lane",
                   "[dataplane] mode = \"auto\"");
  } else {
    report.Ok("VLAN tags that a sender leaves to its device (tx-vlan-offload) are seen; the bridge takes such frames");
  }
}

void CheckMtu(const MachineFacts&, const PortFacts& port, Report& report) {
  const absl::StatusOr<uint32_t> frame_size = FrameSizeForMtu(port.mtu_bytes);
  if (!frame_size.ok()) {
    report.Error(std::string(frame_size.status().message()), "Sluice does not take packets of several buffers",
                 absl::StrCat("ip link set ", port.netdev, " mtu 1500"));
  } else if (!port.frame_size_bytes.has_value()) {
    report.Ok(absl::StrCat("the device takes MTU ", port.mtu_bytes, ", with frames of ", *frame_size, " bytes"));
  } else if (*port.frame_size_bytes < *frame_size) {
    report.Error(absl::StrCat("MTU ", port.mtu_bytes, " needs frames of ", *frame_size, " bytes, they have ",
                              *port.frame_size_bytes),
                 "longer packets are dropped on receive",
                 "stop sluice-agent, then start it: a mere restart keeps the lanes, and so their frames");
  } else {
    report.Ok(absl::StrCat("MTU ", port.mtu_bytes, " fits frames of ", *port.frame_size_bytes, " bytes"));
  }
}

void CheckIrqAffinity(const MachineFacts& machine, const PortFacts& port, Report& report) {
  const size_t queues = std::min<size_t>(port.irq_cpus.size(), PairsInUse(port));
  std::map<uint32_t, std::vector<size_t>> queues_of_cpu;
  std::vector<std::string> loose, without;
  for (size_t q = 0; q < queues; ++q) {
    const std::vector<uint32_t>& cpus = port.irq_cpus[q];
    if (cpus.size() == 1) {
      queues_of_cpu[cpus[0]].push_back(q);
    } else {
      (cpus.empty() ? without : loose).push_back(absl::StrCat(q));
    }
  }
  if (without.size() == queues) {
    if (port.virtio.has_value()) {
      report.Note(
          "no queue has its own interrupt", "all queues' work starts on one CPU",
          absl::StrCat(QueuesFix(PairsInUse(port)),
                       "\na memory-mapped device (QEMU: virtio-net-device) has one interrupt for all queues: use "
                       "virtio-net-pci"));
    } else {
      report.Ok("the driver has no interrupts per queue: nothing to place");
    }
    return;
  }
  const std::string fix =
      absl::StrCat("stop irqbalance; sluice-agent then places queue i on CPU c with c mod ", queues, " = i");
  std::vector<std::string> shared, misplaced;
  for (const auto& [cpu, its_queues] : queues_of_cpu) {
    if (its_queues.size() > 1) {
      shared.push_back(absl::StrCat("queues ", absl::StrJoin(its_queues, " and "), " on CPU ", cpu));
    } else if (cpu % queues != its_queues[0]) {
      misplaced.push_back(absl::StrCat("queue ", its_queues[0], " on CPU ", cpu));
    }
  }
  if (!without.empty()) {
    report.Note(absl::StrCat("queues without an interrupt: ", absl::StrJoin(without, ", ")), "nothing wakes them",
                port.virtio.has_value() ? QueuesFix(PairsInUse(port)) : "");
  }
  if (!shared.empty() && queues <= machine.online_cpus) {
    report.Warning(absl::StrCat("interrupts share a CPU: ", absl::StrJoin(shared, "; ")),
                   "those queues run after one another instead of side by side", fix);
  } else if (!shared.empty()) {
    report.Note(absl::StrCat("interrupts share a CPU: ", absl::StrJoin(shared, "; ")),
                "there are more queue pairs than CPUs",
                absl::StrCat("[dataplane] queue_pairs = ", machine.online_cpus));
  }
  if (!loose.empty()) {
    report.Note(absl::StrCat("interrupts of queues ", absl::StrJoin(loose, ", "), " may go to several CPUs"),
                "a queue that changes CPUs loses its caches", fix);
  }
  if (!misplaced.empty()) {
    report.Note(absl::StrCat("queue i is not on CPU c with c mod ", queues, " = i: ", absl::StrJoin(misplaced, "; ")),
                "packets that XDP sends leave by another queue, and the flow's answers then come in there", fix);
  }
  if (without.empty() && shared.empty() && loose.empty() && misplaced.empty()) {
    report.Ok("each queue's interrupts have a CPU of their own");
  }
}

}  // namespace sluice::doctor
