#include "dataplane/functions/forward.h"

namespace sluice {

void Forward::Process(Burst& burst) {
  for (Frame& frame : burst) {
    frame.verdict = Verdict::Transmit(frame.in_port ^ 1U);
  }
}

}  // namespace sluice
