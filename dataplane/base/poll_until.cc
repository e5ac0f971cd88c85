#include "dataplane/base/poll_until.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

absl::StatusOr<int> PollUntil(absl::Span<pollfd> fds, SteadyTime deadline) {
  // poll() takes milliseconds in an int.
  constexpr absl::Duration kLongest = absl::Minutes(1);
  while (true) {
    const absl::Duration left = std::max(deadline - SteadyTime::Now(), absl::ZeroDuration());
    // Up: a wait of less than a millisecond would otherwise be spent in a loop of polls of 0 ms.
    const absl::Duration wait = absl::Ceil(std::min(left, kLongest), absl::Milliseconds(1));
    const int ready = poll(fds.data(), fds.size(), static_cast<int>(absl::ToInt64Milliseconds(wait)));
    if (ready > 0) {
      return ready;
    }
    if (ready < 0 && errno != EINTR) {
      return absl::InternalError(absl::StrCat("poll: ", strerror(errno)));
    }
    if (SteadyTime::Now() >= deadline) {
      return 0;
    }
  }
}

absl::Status WaitReadable(int fd, SteadyTime deadline, absl::string_view what) {
  pollfd readable{fd, POLLIN, 0};
  const absl::StatusOr<int> ready = PollUntil(absl::MakeSpan(&readable, 1), deadline);
  if (!ready.ok()) {
    return ready.status();
  }
  return *ready > 0 ? absl::OkStatus() : absl::DeadlineExceededError(absl::StrCat("no ", what, " in time"));
}

}  // namespace sluice
