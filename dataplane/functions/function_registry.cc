#include "dataplane/functions/function_registry.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/functions/forward/forward.h"
#include "dataplane/functions/reflect/reflect.h"

namespace sluice {
namespace {

struct Entry {
  const char* name;
  uint32_t least_ports;
  uint32_t most_ports;
  std::unique_ptr<NetworkFunction> (*make)();
};

template <typename Function>
std::unique_ptr<NetworkFunction> Make() {
  return std::make_unique<Function>();
}

constexpr Entry kFunctions[] = {
    {"reflect", 1, kMaxPorts, &Make<Reflect>},
    {"forward", Forward::kPorts, Forward::kPorts, &Make<Forward>},
};

std::string KnownNames() {
  std::string names;
  for (const Entry& entry : kFunctions) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", entry.name);
  }
  return names;
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetworkFunction>> MakeNetworkFunction(absl::string_view name, uint32_t port_count) {
  for (const Entry& entry : kFunctions) {
    if (name != entry.name) {
      continue;
    }
    if (port_count < entry.least_ports || port_count > entry.most_ports) {
      const std::string wanted = entry.least_ports == entry.most_ports
                                     ? absl::StrCat(entry.least_ports)
                                     : absl::StrCat(entry.least_ports, " to ", entry.most_ports);
      return absl::InvalidArgumentError(
          absl::StrCat("function \"", entry.name, "\" works on ", wanted, " ports, not on ", port_count));
    }
    return entry.make();
  }
  return absl::NotFoundError(absl::StrCat("no function is called \"", name, "\"; there are: ", KnownNames()));
}

}  // namespace sluice
