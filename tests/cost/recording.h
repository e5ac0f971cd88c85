// Frames read from a pcap file.
#ifndef SLUICE_TESTS_COST_RECORDING_H_
#define SLUICE_TESTS_COST_RECORDING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::cost {

// In the file's order. Errors: InvalidArgument when it is not classic pcap of Ethernet frames, little-endian, or ends
// within a frame or without one.
absl::StatusOr<std::vector<std::string>> ReadRecording(const std::string& path);

}  // namespace sluice::cost

#endif  // SLUICE_TESTS_COST_RECORDING_H_
