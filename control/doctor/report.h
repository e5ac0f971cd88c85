// The findings of a check, and the form of a fix. Private to this folder. Any thread.
#ifndef SLUICE_CONTROL_DOCTOR_REPORT_H_
#define SLUICE_CONTROL_DOCTOR_REPORT_H_

#include <string>
#include <utility>
#include <vector>

#include "control/wire/sluice.pb.h"

namespace sluice::doctor {

// The findings of one check on one port, or on the machine. A check makes exactly one finding for each thing it looks
// at, good or bad, so that silence never passes for health.
class Report {
 public:
  // Appends to `findings`, which must outlive the report. `port`: its name; empty: the machine.
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

// The text to write where the guest is defined; an empty one is left out.
struct DeviceLines {
  std::string qemu;      // the properties of -device virtio-net-pci
  std::string libvirt;   // elements of <interface>
  std::string kubevirt;  // a key of the VirtualMachineInstance
};
// Returns them as a fix, a line each.
std::string Fix(const DeviceLines& lines);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_REPORT_H_
