// The doctor's checks of a port of any driver, one function each. Private to this folder. Pure; any thread.
#ifndef SLUICE_CONTROL_DOCTOR_CHECKS_PORT_H_
#define SLUICE_CONTROL_DOCTOR_CHECKS_PORT_H_

#include "control/doctor/facts.h"
#include "control/doctor/report.h"

namespace sluice::doctor {

void CheckDriver(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckLink(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckSelfTest(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckQueuePairs(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckXdpQueues(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckSteering(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckVlanTags(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckMtu(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckIrqAffinity(const MachineFacts& machine, const PortFacts& port, Report& report);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_CHECKS_PORT_H_
