// Reads any bytes as a state file. A state that is believed is within the limits of what agents use it for, and comes
// back the same when it is written and read again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "bpf/sluice_abi.h"
#include "control/state/state_file.h"
#include "google/protobuf/util/json_util.h"
#include "tests/fuzz/require.h"

using sluice::Require;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<sluice::SavedState> state =
      sluice::ParseSavedState(std::string(reinterpret_cast<const char*>(data), size));
  if (!state.ok()) {
    Require(absl::IsDataLoss(state.status()) && !state.status().message().empty());
    return 0;
  }
  Require(state->ports_size() <= SLUICE_MAX_PORTS && state->rules_size() <= SLUICE_MAX_RULES);
  Require(state->active_pairs() <= SLUICE_MAX_QUEUES);
  for (const sluice::SavedPort& port : state->ports()) {
    Require(port.netdev().find('/') == std::string::npos && port.netdev().size() <= 15 && port.queue_pairs() > 0);
  }
  for (const sluice::SavedRule& rule : state->rules()) {
    Require(rule.hits() < SLUICE_RULE_HITS);
  }
  std::string text;
  Require(google::protobuf::util::MessageToJsonString(*state, &text).ok());
  const absl::StatusOr<sluice::SavedState> again = sluice::ParseSavedState(text);
  Require(again.ok() && again->ByteSizeLong() == state->ByteSizeLong());
  return 0;
}
