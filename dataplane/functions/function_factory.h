// Makes the objects of network functions: the dataplane's part of the catalogue. The caller owns what is made. Any
// thread.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_FACTORY_H_
#define SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_FACTORY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/function/descriptor.h"
#include "dataplane/function/network_function.h"

namespace sluice {

struct MadeFunction {
  const FunctionDescriptor* descriptor = nullptr;
  std::unique_ptr<NetworkFunction> function;  // not started
};

// Errors: NotFound for an unknown name, InvalidArgument for a number of ports that the function does not work on. Both
// say what is allowed.
absl::StatusOr<MadeFunction> MakeFunction(absl::string_view name, size_t ports);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_FACTORY_H_
