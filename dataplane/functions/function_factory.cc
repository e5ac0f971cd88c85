#include "dataplane/functions/function_factory.h"

#include "absl/strings/str_cat.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace functions {

#define SLUICE_DECLARE(NAME)                   \
  namespace NAME {                             \
  extern const FunctionDescriptor kDescriptor; \
  std::unique_ptr<NetworkFunction> Make();     \
  }
SLUICE_FUNCTIONS(SLUICE_DECLARE)
#undef SLUICE_DECLARE

}  // namespace functions

absl::StatusOr<MadeFunction> MakeFunction(absl::string_view name, size_t ports) {
  const FunctionDescriptor* descriptor = FindFunction(name);
  if (descriptor == nullptr) {
    return absl::NotFoundError(absl::StrCat("no function is called \"", name, "\"; there are: ", FunctionNames()));
  }
  if (absl::Status status = CheckPortCount(*descriptor, ports); !status.ok()) {
    return status;
  }
  MadeFunction made = {.descriptor = descriptor};
#define SLUICE_MAKE(NAME)                            \
  if (descriptor == &functions::NAME::kDescriptor) { \
    made.function = functions::NAME::Make();         \
  }
  SLUICE_FUNCTIONS(SLUICE_MAKE)
#undef SLUICE_MAKE
  return made;
}

}  // namespace sluice
