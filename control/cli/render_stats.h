// `stats` as text: counters since the start, and rates between two samples. Pure.
#ifndef SLUICE_CONTROL_CLI_RENDER_STATS_H_
#define SLUICE_CONTROL_CLI_RENDER_STATS_H_

#include <string>

#include "control/cli/rates.h"
#include "control/cli/table.h"
#include "control/wire/sluice.pb.h"

namespace sluice::cli {

std::string RenderStats(const wire::StatsResponse& stats, const Rates& rates, Style style);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_RENDER_STATS_H_
