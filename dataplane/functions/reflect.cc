#include "dataplane/functions/reflect.h"

#include <algorithm>

#include "dataplane/functions/ethernet.h"

namespace sluice {

void Reflect::Process(Burst& burst) {
  for (Frame& frame : burst) {
    if (frame.length_bytes < kEthernetHeaderBytes) {
      frame.verdict = Verdict::Drop(DropReason::kMalformed);
      continue;
    }
    std::swap_ranges(frame.data, frame.data + kMacBytes, frame.data + kMacBytes);
    frame.verdict = Verdict::Transmit(frame.in_port);
    if (frame.asks) {
      burst.Decide(frame, {.changes = SLUICE_FLOW_SWAP_MACS, .out_port = frame.in_port});
    }
  }
}

}  // namespace sluice
