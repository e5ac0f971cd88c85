// The descriptor of `reflect`: one port or more, frames for the port's own MAC address, no settings. Constant data: any
// thread.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_
#define SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_

#include "dataplane/function/descriptor.h"

namespace sluice::functions::reflect {

extern const FunctionDescriptor kDescriptor;

}  // namespace sluice::functions::reflect

#endif  // SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_
