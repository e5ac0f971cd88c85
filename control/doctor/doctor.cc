#include "control/doctor/doctor.h"

#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "control/doctor/checks_machine.h"
#include "control/doctor/checks_port.h"
#include "control/doctor/checks_virtio.h"
#include "control/doctor/report.h"

namespace sluice::doctor {
namespace {

struct MachineCheck {
  const char* name;
  void (*run)(const MachineFacts&, absl::Span<const PortFacts>, Report&);
};
constexpr MachineCheck kMachineChecks[] = {
    {"kernel", CheckKernel},
    {"btf", CheckBtf},
    {"memlock", CheckMemlock},
};

struct PortCheck {
  const char* name;
  bool virtio_only;
  void (*run)(const MachineFacts&, const PortFacts&, Report&);
};
constexpr PortCheck kPortChecks[] = {
    {"driver", false, CheckDriver},
    {"link", false, CheckLink},
    {"self_test", false, CheckSelfTest},
    {"modern", true, CheckModern},
    {"multiqueue", true, CheckMultiqueue},
    {"queue_pairs", false, CheckQueuePairs},
    {"xdp_queues", false, CheckXdpQueues},
    {"steering", false, CheckSteering},
    {"vlan_tags", false, CheckVlanTags},
    {"mtu", false, CheckMtu},
    {"receive_buffers", true, CheckReceiveBuffers},
    {"guest_offloads", true, CheckGuestOffloads},
    {"rx_drops", true, CheckRxDrops},
    {"napi_tx", true, CheckNapiTx},
    {"ring_reset", true, CheckRingReset},
    {"zero_copy", true, CheckZeroCopy},
    {"irq_affinity", false, CheckIrqAffinity},
};

}  // namespace
}  // namespace sluice::doctor

namespace sluice {

std::vector<wire::Finding> Diagnose(const MachineFacts& machine, absl::Span<const PortFacts> ports) {
  std::vector<wire::Finding> findings;
  for (const doctor::MachineCheck& check : doctor::kMachineChecks) {
    doctor::Report report(check.name, "", findings);
    check.run(machine, ports, report);
  }
  for (const PortFacts& port : ports) {
    for (const doctor::PortCheck& check : doctor::kPortChecks) {
      if (!check.virtio_only || port.virtio.has_value()) {
        doctor::Report report(check.name, port.name, findings);
        check.run(machine, port, report);
      }
    }
  }
  return findings;
}

absl::StatusOr<std::vector<wire::Finding>> Examine(absl::Span<const PortToExamine> ports) {
  const absl::StatusOr<MachineFacts> machine = CollectMachineFacts();
  if (!machine.ok()) {
    return machine.status();
  }
  std::vector<PortFacts> examined;
  std::vector<wire::Finding> unreadable;
  for (const PortToExamine& port : ports) {
    absl::StatusOr<PortFacts> facts = CollectPortFacts(port);
    if (facts.ok()) {
      examined.push_back(*std::move(facts));
    } else {
      doctor::Report("netdev", port.name, unreadable)
          .Error(std::string(facts.status().message()), "the port cannot be used",
                 absl::StrCat("ip link show ", port.netdev, "; or another netdev for port ", port.name,
                              " in the configuration"));
    }
  }
  std::vector<wire::Finding> findings = Diagnose(*machine, examined);
  findings.insert(findings.end(), unreadable.begin(), unreadable.end());
  return findings;
}

}  // namespace sluice
