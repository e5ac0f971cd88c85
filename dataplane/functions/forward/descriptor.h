// The descriptor of `forward`: two ports, every frame, no settings. Constant data: any thread.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_FORWARD_DESCRIPTOR_H_
#define SLUICE_DATAPLANE_FUNCTIONS_FORWARD_DESCRIPTOR_H_

#include "dataplane/function/descriptor.h"

namespace sluice::functions::forward {

extern const FunctionDescriptor kDescriptor;

}  // namespace sluice::functions::forward

#endif  // SLUICE_DATAPLANE_FUNCTIONS_FORWARD_DESCRIPTOR_H_
