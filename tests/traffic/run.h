// A whole run: a sender and a receiver thread for each direction, then the report.
//
//   A to B:  Sender(A) ── device ──► Receiver(B)        reflect: A is B
//   B to A:  Receiver(A) ◄── device ── Sender(B)        with --both
#ifndef SLUICE_TESTS_TRAFFIC_RUN_H_
#define SLUICE_TESTS_TRAFFIC_RUN_H_

#include "absl/status/statusor.h"
#include "tests/traffic/options.h"
#include "tests/traffic/report.pb.h"

namespace sluice::flowgen {

// Ends by itself or on SIGINT or SIGTERM, which it blocks; a second signal ends the settling. Errors: there is no such
// interface or namespace, rights are missing, or the kernel takes no packets.
absl::StatusOr<Report> RunTraffic(const Options& options);

}  // namespace sluice::flowgen

#endif  // SLUICE_TESTS_TRAFFIC_RUN_H_
