// Writes a report as text.
#ifndef SLUICE_TESTS_TRAFFIC_SUMMARY_H_
#define SLUICE_TESTS_TRAFFIC_SUMMARY_H_

#include <string>

#include "tests/traffic/report.pb.h"

namespace sluice::flowgen {

std::string Summary(const Report& report);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_SUMMARY_H_
