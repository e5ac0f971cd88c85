// The doctor's checks of the machine, one function each. Private to this folder. Pure; any thread.
#ifndef SLUICE_CONTROL_DOCTOR_CHECKS_MACHINE_H_
#define SLUICE_CONTROL_DOCTOR_CHECKS_MACHINE_H_

#include "absl/types/span.h"
#include "control/doctor/facts.h"
#include "control/doctor/report.h"

namespace sluice::doctor {

void CheckKernel(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);
void CheckBtf(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);
// `ports` are all ports that share the machine's limit.
void CheckMemlock(const MachineFacts& machine, absl::Span<const PortFacts> ports, Report& report);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_CHECKS_MACHINE_H_
