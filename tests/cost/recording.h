// Frames read from a pcap file.
#ifndef SLUICE_TESTS_COST_RECORDING_H_
#define SLUICE_TESTS_COST_RECORDING_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::cost {

// Returns the frames in the file's order. Errors: InvalidArgument if the file is not a little-endian, classic pcap of
// Ethernet frames, ends within a frame, or has none.
absl::StatusOr<std::vector<std::string>> ReadRecording(const std::string& path);

}  // namespace sluice::cost

#endif  // SLUICE_TESTS_COST_RECORDING_H_
