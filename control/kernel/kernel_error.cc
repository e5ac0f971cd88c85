#include "control/kernel/kernel_error.h"

#include <cerrno>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace sluice {
namespace {

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENODEV:
    case ENOENT:
    case ENXIO:
      return absl::StatusCode::kNotFound;
    case EOPNOTSUPP:
      return absl::StatusCode::kUnimplemented;
    case EINVAL:
    case EBUSY:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kInternal;
  }
}

}  // namespace

absl::Status KernelError(int error, absl::string_view doing, absl::string_view kernel_message) {
  std::string text = absl::StrCat(doing, ": ", std::generic_category().message(error));
  if (!kernel_message.empty()) {
    absl::StrAppend(&text, " (kernel: ", kernel_message, ")");
  }
  return absl::Status(CodeOf(error), text);
}

}  // namespace sluice
