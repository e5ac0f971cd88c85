#include "dataplane/base/unix_address.h"

#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice {

absl::StatusOr<UnixAddress> UnixAddress::Of(absl::string_view path) {
  UnixAddress made;
  constexpr size_t kLongest = sizeof(made.address_.sun_path) - 1;  // a zero ends it
  if (path.empty() || path.size() > kLongest) {
    return absl::InvalidArgumentError(
        absl::StrCat("'", path, "' cannot be a socket's path: it must have 1 to ", kLongest, " characters"));
  }
  made.address_.sun_family = AF_UNIX;
  memcpy(made.address_.sun_path, path.data(), path.size());
  return made;
}

}  // namespace sluice
