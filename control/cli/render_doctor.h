// `doctor` as text: each finding, its cost, the lines that fix it. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_DOCTOR_H_
#define SLUICE_CONTROL_CLI_RENDER_DOCTOR_H_

#include <string>

#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderDoctor(const wire::DoctorResponse& doctor, Style style);
bool HasErrors(const wire::DoctorResponse& doctor);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_DOCTOR_H_
