#ifndef SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_
#define SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_

#include "dataplane/function/descriptor.h"

namespace sluice::functions::reflect {

extern const FunctionDescriptor kDescriptor;

}  // namespace sluice::functions::reflect

#endif  // SLUICE_DATAPLANE_FUNCTIONS_REFLECT_DESCRIPTOR_H_
