// The doctor: facts about machine and ports in, findings out. Read-only; any thread.
//
// Diagnose() is a pure function of the facts (facts.h), so that every finding can be tested with made-up ones. Each
// check is one function; doctor.cc lists them all in one table, in the order in which their findings appear.
#ifndef SLUICE_CONTROL_DOCTOR_DOCTOR_H_
#define SLUICE_CONTROL_DOCTOR_DOCTOR_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "control/doctor/facts.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

std::vector<wire::Finding> Diagnose(const MachineFacts& machine, absl::Span<const PortFacts> ports);

// Collects the facts and diagnoses them. A port that cannot be examined is a finding, an error. Errors of the call:
// those of CollectMachineFacts().
absl::StatusOr<std::vector<wire::Finding>> Examine(absl::Span<const PortToExamine> ports);

}  // namespace sluice

#endif  // SLUICE_CONTROL_DOCTOR_DOCTOR_H_
