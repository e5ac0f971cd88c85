#include "dataplane/base/socket_error.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace sluice {
namespace {

TEST(SocketError, NamesTheCauseForTheUser) {
  const struct {
    int error;
    absl::StatusCode code;
    const char* text;
  } cases[] = {
      {EPIPE, absl::StatusCode::kUnavailable, "recv: Broken pipe"},
      {ECONNRESET, absl::StatusCode::kUnavailable, "recv: Connection reset by peer"},
      {ENOTCONN, absl::StatusCode::kUnavailable, "recv: Transport endpoint is not connected"},
      {EAGAIN, absl::StatusCode::kDeadlineExceeded, "recv: the peer kept us waiting too long"},
      {EBADF, absl::StatusCode::kInternal, "recv: Bad file descriptor"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(SocketError(c.error, "recv"), absl::Status(c.code, c.text));
  }
}

}  // namespace
}  // namespace sluice
