#include "dataplane/functions/reflect/reflect.h"

#include "dataplane/function/flow_action.h"
#include "dataplane/net/headers.h"

namespace sluice::functions::reflect {

void Reflect::Process(LaneContext& /*lane*/, Burst& burst) {
  for (Frame& frame : burst) {
    if (frame.length_bytes < SLUICE_ETHERNET_BYTES) {
      frame.verdict = Verdict::Drop(DropReason::kMalformed);
      continue;
    }
    HeaderAt<EthernetHeader>(frame.data, 0).SwapMacs();
    frame.verdict = Verdict::Transmit(frame.in_port);
    if (frame.may_offload) {
      burst.Offload(frame, SentOut(frame.in_port, SLUICE_FLOW_SWAP_MACS));
    }
  }
}

std::unique_ptr<NetworkFunction> Make() {
  return std::make_unique<Reflect>();
}

}  // namespace sluice::functions::reflect
