// What a network function is: it gets a burst and gives each frame a verdict.
//
// It may change a frame's bytes, its length, and its start (`data` and `address` together) within the
// UMEM frame. It must not keep pointers: after Process the frames are gone. One object serves every lane, and workers
// call it at the same time, each with bursts of its own lanes; state that flows share must stand that.
//
// A frame that `asks` gives it the chance to decide for the flow (Burst::Decide); it need not.
//
// Process runs in the packet path: no allocation, no lock, no log, no exception.
#ifndef SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_
#define SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_

#include "dataplane/function/burst.h"

namespace sluice {

class NetworkFunction {
 public:
  virtual ~NetworkFunction() = default;
  // One virtual call a burst, never one a frame.
  virtual void Process(Burst& burst) = 0;
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_NETWORK_FUNCTION_H_
