#include "dataplane/functions/catalog.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace sluice {
namespace functions {

#define SLUICE_DECLARE(NAME)                   \
  namespace NAME {                             \
  extern const FunctionDescriptor kDescriptor; \
  }
SLUICE_FUNCTIONS(SLUICE_DECLARE)
#undef SLUICE_DECLARE

}  // namespace functions

std::span<const FunctionDescriptor* const> Functions() {
#define SLUICE_POINT_TO(NAME) &functions::NAME::kDescriptor,
  static constexpr const FunctionDescriptor* kAll[] = {SLUICE_FUNCTIONS(SLUICE_POINT_TO)};
#undef SLUICE_POINT_TO
  return kAll;
}

const FunctionDescriptor* FindFunction(absl::string_view name) {
  const std::span<const FunctionDescriptor* const> all = Functions();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const FunctionDescriptor* one) { return name == one->name; });
  return found == all.end() ? nullptr : *found;
}

std::string FunctionNames() {
  const std::span<const FunctionDescriptor* const> all = Functions();
  return absl::StrJoin(all.begin(), all.end(), ", ",
                       [](std::string* out, const FunctionDescriptor* one) { out->append(one->name); });
}

absl::Status CheckPortCount(const FunctionDescriptor& function, size_t ports) {
  if (ports >= function.least_ports && ports <= function.most_ports) {
    return absl::OkStatus();
  }
  const std::string wanted = function.least_ports == function.most_ports
                                 ? absl::StrCat(function.least_ports)
                                 : absl::StrCat(function.least_ports, " to ", function.most_ports);
  return absl::InvalidArgumentError(
      absl::StrCat("function \"", function.name, "\" works on ", wanted, " ports, not on ", ports));
}

}  // namespace sluice
