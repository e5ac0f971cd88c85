// The doctor's checks, one function each, by what they look at. checks.cc lists them in the order in which
// their findings appear. Each says what it found exactly once for every thing it looks at, good or bad, so
// that silence never passes for health. Private to this folder. Pure; any thread.
#ifndef SLUICE_CONTROL_DOCTOR_CHECKS_H_
#define SLUICE_CONTROL_DOCTOR_CHECKS_H_

#include <string>
#include <utility>
#include <vector>

#include "control/doctor/doctor.h"

namespace sluice::doctor {

// Where a check puts its findings.
class Report {
 public:
  Report(std::string check, std::string port, std::vector<wire::Finding>& findings)
      : check_(std::move(check)), port_(std::move(port)), findings_(findings) {}

  void Ok(const std::string& what) { Add(wire::SEVERITY_OK, what, "", ""); }
  void Note(const std::string& what, const std::string& cost, const std::string& fix) {
    Add(wire::SEVERITY_NOTE, what, cost, fix);
  }
  void Warning(const std::string& what, const std::string& cost, const std::string& fix) {
    Add(wire::SEVERITY_WARNING, what, cost, fix);
  }
  void Error(const std::string& what, const std::string& cost, const std::string& fix) {
    Add(wire::SEVERITY_ERROR, what, cost, fix);
  }

 private:
  void Add(wire::Severity severity, const std::string& what, const std::string& cost, const std::string& fix);

  std::string check_;
  std::string port_;
  std::vector<wire::Finding>& findings_;
};

// What to write where the guest is defined, a line each; an empty one is left out.
struct DeviceLines {
  std::string qemu;      // the properties of -device virtio-net-pci
  std::string libvirt;   // elements of <interface>
  std::string kubevirt;  // a key of the VirtualMachineInstance
};
std::string Fix(const DeviceLines& lines);
// The same for N queue pairs, where the tap device has to be told as well.
std::string QueuesFix(uint32_t pairs);

struct KernelVersion {
  uint32_t major = 0;
  uint32_t minor = 0;
  // clang-tidy 14 takes the 0 that a rewritten a < b compares with for a null pointer written here.
  auto operator<=>(const KernelVersion&) const = default;  // NOLINT(modernize-use-nullptr)
};
// Of uname -r; nullopt when it begins with no version.
std::optional<KernelVersion> ParseKernelVersion(const std::string& release);

// checks_machine.cc
void CheckKernel(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);
void CheckBtf(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);
void CheckMemlock(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);

// checks_port.cc: of any driver
void CheckDriver(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckQueuePairs(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckXdpQueues(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckSteering(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckMtu(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckIrqAffinity(const MachineFacts& machine, const PortFacts& port, Report& report);

// checks_virtio.cc: called for virtio devices only
void CheckModern(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckMultiqueue(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckReceiveBuffers(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckGuestOffloads(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckRxDrops(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckNapiTx(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckRingReset(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckZeroCopy(const MachineFacts& machine, const PortFacts& port, Report& report);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_CHECKS_H_
