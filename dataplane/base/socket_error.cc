#include "dataplane/base/socket_error.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"

namespace sluice {

absl::Status SocketError(int error, absl::string_view doing) {
  const std::string text = absl::StrCat(doing, ": ", strerror(error));
  switch (error) {
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
      return absl::UnavailableError(text);
    case EAGAIN:
      return absl::DeadlineExceededError(absl::StrCat(doing, ": the peer kept us waiting too long"));
    default:
      return absl::InternalError(text);
  }
}

}  // namespace sluice
