// Turns a refusal by the kernel into a status: errno's class, errno's text and, where there is one, the kernel's own
// sentence (netlink extack). A refusal for want of rights names the capabilities that the process has not got. One
// thread.
#ifndef SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_
#define SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Returns "<doing>: <errno's text> (kernel: <message>)", and for EPERM and EACCES "; this process lacks CAP_NET_ADMIN".
// `doing` names device and value, so that EINVAL says which value was refused. `error` is positive. NotFound for
// ENODEV, ENOENT and ENXIO, Unimplemented for EOPNOTSUPP, FailedPrecondition for EINVAL and EBUSY, Internal for the
// rest.
absl::Status KernelError(int error, absl::string_view doing, absl::string_view kernel_message = "");

// Returns KernelError's status with "; refused: <value>" when the kernel refused a value (EINVAL, ERANGE, E2BIG,
// EOVERFLOW), any other status as it is. `value` says which value of ours, and the key of the configuration that it
// comes from: "[dataplane] queue_pairs = 8".
absl::Status NameValue(const absl::Status& s, absl::string_view value);

}  // namespace sluice

#endif  // SLUICE_CONTROL_KERNEL_KERNEL_ERROR_H_
