// A message as JSON: protobuf's own mapping (so 64-bit counters are strings), original field names, fields
// that are zero included.
#ifndef SLUICE_CONTROL_CLI_JSON_H_
#define SLUICE_CONTROL_CLI_JSON_H_

#include <string>

#include "google/protobuf/message.h"

namespace sluice::cli {

enum class JsonLayout { kPretty, kOneLine };

// Ends with a newline.
std::string ToJson(const google::protobuf::Message& message, JsonLayout layout);

}  // namespace sluice::cli

#endif  // SLUICE_CONTROL_CLI_JSON_H_
