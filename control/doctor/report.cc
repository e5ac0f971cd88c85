#include "control/doctor/report.h"

#include "absl/strings/str_cat.h"

namespace sluice::doctor {

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

}  // namespace sluice::doctor
