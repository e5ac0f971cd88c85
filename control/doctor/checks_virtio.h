// The doctor's checks of a virtio-net device, one function each; `port.virtio` must be there. Private to this folder.
// Pure; any thread.
#ifndef SLUICE_CONTROL_DOCTOR_CHECKS_VIRTIO_H_
#define SLUICE_CONTROL_DOCTOR_CHECKS_VIRTIO_H_

#include "control/doctor/facts.h"
#include "control/doctor/report.h"

namespace sluice::doctor {

void CheckModern(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckMultiqueue(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckReceiveBuffers(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckGuestOffloads(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckRxDrops(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckNapiTx(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckRingReset(const MachineFacts& machine, const PortFacts& port, Report& report);
void CheckZeroCopy(const MachineFacts& machine, const PortFacts& port, Report& report);

}  // namespace sluice::doctor

#endif  // SLUICE_CONTROL_DOCTOR_CHECKS_VIRTIO_H_
