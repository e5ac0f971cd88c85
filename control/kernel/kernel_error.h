// Turns a refusal by the kernel into a status: errno's class, errno's text and, where there is one, the kernel's own
// sentence (netlink extack). Any thread.
#ifndef SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_
#define SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Returns "<doing>: <errno's text> (kernel: <message>)". `error` is positive. NotFound for ENODEV, ENOENT and ENXIO,
// Unimplemented for EOPNOTSUPP, FailedPrecondition for EINVAL and EBUSY, Internal for the rest.
absl::Status KernelError(int error, absl::string_view doing, absl::string_view kernel_message = "");

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_
