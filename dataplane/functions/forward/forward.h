// "forward": a bump in the wire between two ports. No state.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_
#define SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_

#include "dataplane/function/network_function.h"

namespace sluice::functions::forward {

class Forward final : public NetworkFunction {
 public:
  void Process(LaneContext& lane, Burst& burst) override;
};

}  // namespace sluice::functions::forward

#endif  // SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_
