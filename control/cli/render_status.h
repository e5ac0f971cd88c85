// `status`, `queues` and `workers` as text. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_STATUS_H_
#define SLUICE_CONTROL_CLI_RENDER_STATUS_H_

#include <string>

#include "control/cli/rates.h"
#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderStatus(const wire::StatusResponse& status, const Rates& rates, Style style);
// Renders "auto: 2 of 1..4, work for 1.3 cores, 2 pairs carry it"; nothing when queue_pairs is a number.
std::string RenderAutoscale(const wire::Autoscale& autoscale, Style style);
std::string RenderQueues(const wire::StatusResponse& status, Style style);
std::string RenderWorkers(const wire::StatusResponse& status, Style style);
// Renders "received 10 + originated 0 = ... ", and "balanced" or the difference.
std::string RenderBalance(const wire::Balance& balance, Style style);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_STATUS_H_
