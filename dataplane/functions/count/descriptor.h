// The descriptor of `count`, and the names by which its code asks for settings, arguments and counters. Constant data:
// any thread.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_COUNT_DESCRIPTOR_H_
#define SLUICE_DATAPLANE_FUNCTIONS_COUNT_DESCRIPTOR_H_

#include <cstdint>

#include "dataplane/function/descriptor.h"

namespace sluice::functions::count {

extern const FunctionDescriptor kDescriptor;

// Names of settings and arguments.
inline constexpr const char* kSources = "sources";
inline constexpr const char* kIdle = "idle";
inline constexpr const char* kTop = "top";

// Places in kDescriptor.counters.
enum Counter : uint32_t { kCreated, kExpired, kUncounted };

}  // namespace sluice::functions::count

#endif  // SLUICE_DATAPLANE_FUNCTIONS_COUNT_DESCRIPTOR_H_
