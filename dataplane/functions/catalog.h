// The catalogue of network functions, a line for each. The line of NAME adds dataplane/functions/NAME/, which defines
//
//   const FunctionDescriptor sluice::functions::NAME::kDescriptor;             descriptor.cc: data only
//   std::unique_ptr<NetworkFunction> sluice::functions::NAME::Make();          NAME.cc
//
// Agent and sluicectl link the descriptors (this file); the dataplane links the code, too (function_factory.h).
// Constant data: any thread.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_CATALOG_H_
#define SLUICE_DATAPLANE_FUNCTIONS_CATALOG_H_

#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "dataplane/function/descriptor.h"

// clang-format off
#define SLUICE_FUNCTIONS(FUNCTION) \
  FUNCTION(reflect)                \
  FUNCTION(forward)                \
  FUNCTION(count)
// clang-format on

namespace sluice {

// In the catalogue's order.
std::span<const FunctionDescriptor* const> Functions();
// nullptr: no function has that name.
const FunctionDescriptor* FindFunction(absl::string_view name);
// "reflect, forward, …"
std::string FunctionNames();
// InvalidArgument when the function does not work on that number of ports; says which numbers it works on.
absl::Status CheckPortCount(const FunctionDescriptor& function, size_t ports);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTIONS_CATALOG_H_
