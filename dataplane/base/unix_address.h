// The address of a unix socket that is a file. Any thread.
#ifndef SLUICE_DATAPLANE_BASE_UNIX_ADDRESS_H_
#define SLUICE_DATAPLANE_BASE_UNIX_ADDRESS_H_

#include <sys/socket.h>
#include <sys/un.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice {

class UnixAddress {
 public:
  // InvalidArgument, with the path and the limit, for one that is empty or too long for sun_path.
  static absl::StatusOr<UnixAddress> Of(absl::string_view path);

  // For bind() and connect().
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address_); }
  socklen_t size_bytes() const { return sizeof(address_); }

 private:
  UnixAddress() = default;

  sockaddr_un address_{};
};

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_UNIX_ADDRESS_H_
