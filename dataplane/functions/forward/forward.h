// "forward": a bump in the wire between two ports. What comes in at one leaves by the other, unchanged.
// No state.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_
#define SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_

#include "dataplane/function/network_function.h"

namespace sluice {

class Forward final : public NetworkFunction {
 public:
  static constexpr uint32_t kPorts = 2;
  void Process(Burst& burst) override;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTIONS_FORWARD_FORWARD_H_
