// "reflect": swaps the MAC addresses and sends every frame back out of its port. A frame shorter than an Ethernet
// header is dropped as malformed. No state.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_REFLECT_REFLECT_H_
#define SLUICE_DATAPLANE_FUNCTIONS_REFLECT_REFLECT_H_

#include "dataplane/function/network_function.h"

namespace sluice::functions::reflect {

class Reflect final : public NetworkFunction {
 public:
  void Process(LaneContext& lane, Burst& burst) override;
};

}  // namespace sluice::functions::reflect

#endif  // SLUICE_DATAPLANE_FUNCTIONS_REFLECT_REFLECT_H_
