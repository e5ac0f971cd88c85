#include "dataplane/functions/forward/forward.h"

#include "dataplane/function/flow_action.h"

namespace sluice {

void Forward::Process(Burst& burst) {
  for (Frame& frame : burst) {
    const uint32_t out_port = frame.in_port ^ 1U;
    frame.verdict = Verdict::Transmit(out_port);
    if (frame.may_offload) {
      burst.Offload(frame, SentOut(out_port));
    }
  }
}

}  // namespace sluice
