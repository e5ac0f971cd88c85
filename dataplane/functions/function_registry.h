// The network functions there are, by the name the configuration calls them.
#ifndef SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_REGISTRY_H_
#define SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_REGISTRY_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dataplane/function/network_function.h"

namespace sluice {

// Errors: NotFound for an unknown name, InvalidArgument for a number of ports the function cannot use;
// either says what would do.
absl::StatusOr<std::unique_ptr<NetworkFunction>> MakeNetworkFunction(absl::string_view name, uint32_t port_count);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTIONS_FUNCTION_REGISTRY_H_
