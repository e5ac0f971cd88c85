#include "dataplane/functions/forward/forward.h"

#include "dataplane/function/flow_action.h"

namespace sluice::functions::forward {

void Forward::Process(LaneContext& /*lane*/, Burst& burst) {
  for (Frame& frame : burst) {
    const uint32_t out_port = frame.in_port ^ 1U;
    frame.verdict = Verdict::Transmit(out_port);
    if (frame.may_offload) {
      burst.Offload(frame, SentOut(out_port));
    }
  }
}

std::unique_ptr<NetworkFunction> Make() {
  return std::make_unique<Forward>();
}

}  // namespace sluice::functions::forward
