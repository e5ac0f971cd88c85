#include "control/doctor/checks.h"

#include "absl/strings/str_cat.h"

namespace sluice {
namespace doctor {
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
    {"modern", true, CheckModern},
    {"multiqueue", true, CheckMultiqueue},
    {"queue_pairs", false, CheckQueuePairs},
    {"xdp_queues", false, CheckXdpQueues},
    {"steering", false, CheckSteering},
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

void Report::Add(wire::Severity severity, const std::string& what, const std::string& cost, const std::string& fix) {
  wire::Finding& finding = findings_.emplace_back();
  finding.set_check(check_);
  finding.set_port(port_);
  finding.set_severity(severity);
  finding.set_what(what);
  finding.set_cost(cost);
  finding.set_fix(fix);
}

std::string Fix(const DeviceLines& lines) {
  std::string text;
  const auto add = [&text](const char* where, const std::string& line) {
    if (!line.empty()) {
      absl::StrAppend(&text, text.empty() ? "" : "\n", where, line);
    }
  };
  add("QEMU: ", lines.qemu.empty() ? "" : absl::StrCat("-device virtio-net-pci,", lines.qemu));
  add("libvirt: ", lines.libvirt);
  add("KubeVirt: ", lines.kubevirt);
  return text;
}

std::string QueuesFix(uint32_t pairs) {
  // Two interrupts a pair, one for the control queue, one for changes of the configuration
  // (drivers/virtio/virtio_pci_common.c: vp_find_vqs).
  return absl::StrCat("QEMU: -netdev tap,queues=", pairs, ",… -device virtio-net-pci,mq=on,vectors=", 2 * pairs + 2,
                      "\nlibvirt: <driver queues='", pairs, "'/>",
                      "\nKubeVirt: networkInterfaceMultiqueue: true (as many pairs as vCPUs)");
}

}  // namespace doctor

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

}  // namespace sluice
