#include "control/kernel/kernel_error.h"

#include <cap-ng.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

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

// A mark of statuses (absl::Status::SetPayload).
constexpr const char* kAboutValue = "sluice/value";

bool IsAboutValue(int error) {
  return error == EINVAL || error == ERANGE || error == E2BIG || error == EOVERFLOW;
}

struct Capability {
  unsigned number;
  const char* name;
};
// The ones that sluice-agent needs. CAP_SYS_ADMIN opens BPF objects by their ids (kernel/bpf/syscall.c:
// bpf_prog_get_fd_by_id), CAP_NET_RAW AF_XDP sockets (net/xdp/xsk.c: xsk_create).
constexpr Capability kNeeded[] = {{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                                  {CAP_NET_RAW, "CAP_NET_RAW"},
                                  {CAP_BPF, "CAP_BPF"},
                                  {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};

std::vector<std::string> MissingCapabilities() {
  std::vector<std::string> missing;
  capng_clear(CAPNG_SELECT_BOTH);
  if (capng_get_caps_process() != 0) {
    return missing;
  }
  for (const Capability& needed : kNeeded) {
    if (capng_have_capability(CAPNG_EFFECTIVE, needed.number) == 0) {
      missing.emplace_back(needed.name);
    }
  }
  return missing;
}

}  // namespace

absl::Status KernelError(int error, absl::string_view doing, absl::string_view kernel_message) {
  std::string text = absl::StrCat(doing, ": ", std::generic_category().message(error));
  if (!kernel_message.empty()) {
    absl::StrAppend(&text, " (kernel: ", kernel_message, ")");
  }
  if (error == EPERM || error == EACCES) {
    if (const std::vector<std::string> missing = MissingCapabilities(); !missing.empty()) {
      absl::StrAppend(&text, "; this process lacks ", absl::StrJoin(missing, ", "),
                      ": run it as root, or with these capabilities");
    }
  }
  absl::Status s(CodeOf(error), text);
  if (IsAboutValue(error)) {
    s.SetPayload(kAboutValue, absl::Cord());
  }
  return s;
}

absl::Status NameValue(const absl::Status& s, absl::string_view value) {
  return s.GetPayload(kAboutValue).has_value() ? absl::Status(s.code(), absl::StrCat(s.message(), "; refused: ", value))
                                               : s;
}

}  // namespace sluice
