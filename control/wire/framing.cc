#include "control/wire/framing.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "dataplane/base/poll_until.h"
#include "dataplane/base/socket_error.h"
#include "dataplane/base/steady_time.h"

namespace sluice {
namespace {

// Turns SO_RCVTIMEO or SO_SNDTIMEO into a deadline. The option alone bounds each call, so a peer that sends or takes a
// byte at a time could hold us for ever.
SteadyTime DeadlineOf(int socket, int option) {
  timeval patience{};
  socklen_t size = sizeof(patience);
  if (getsockopt(socket, SOL_SOCKET, option, &patience, &size) != 0 ||
      (patience.tv_sec == 0 && patience.tv_usec == 0)) {
    return SteadyTime::InfiniteFuture();
  }
  return SteadyTime::Now() + absl::DurationFromTimeval(patience);
}

// Sends all bytes. MSG_NOSIGNAL: a peer that hung up is an error of this call, not a SIGPIPE for the whole process.
absl::Status SendAll(int socket, const std::string& bytes) {
  const SteadyTime deadline = DeadlineOf(socket, SO_SNDTIMEO);
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t n = send(socket, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n >= 0) {
      sent += static_cast<size_t>(n);
    } else if (errno == EAGAIN && SteadyTime::Now() < deadline) {
      pollfd writable{socket, POLLOUT, 0};
      if (const absl::StatusOr<int> ready = PollUntil(absl::MakeSpan(&writable, 1), deadline); !ready.ok()) {
        return ready.status();
      }
    } else if (errno != EINTR) {
      return SocketError(errno, "send");
    }
  }
  return absl::OkStatus();
}

// Receives `size` bytes, or fewer when the stream ends before that.
absl::Status ReceiveUpTo(int socket, char* data, size_t size, size_t& received) {
  const SteadyTime deadline = DeadlineOf(socket, SO_RCVTIMEO);
  received = 0;
  while (received < size) {
    const ssize_t n = recv(socket, data + received, size - received, MSG_DONTWAIT);
    if (n > 0) {
      received += static_cast<size_t>(n);
    } else if (n == 0) {
      return absl::OkStatus();
    } else if (errno == EAGAIN && SteadyTime::Now() < deadline) {
      if (absl::Status waited = WaitReadable(socket, deadline, "bytes");
          !waited.ok() && !absl::IsDeadlineExceeded(waited)) {
        return waited;
      }
    } else if (errno != EINTR) {
      return SocketError(errno, "recv");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FrameOf(const google::protobuf::MessageLite& message, uint32_t max) {
  const size_t size = message.ByteSizeLong();
  if (size > max) {
    return absl::InvalidArgumentError(absl::StrCat("message of ", size, " bytes, at most ", max, " are sent"));
  }
  std::string bytes;
  bytes.reserve(kFrameLengthBytes + size);
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(size >> shift & 0xff));
  }
  if (!message.AppendToString(&bytes)) {
    return absl::InvalidArgumentError("message cannot be serialised");
  }
  return bytes;
}

uint32_t AnnouncedLength(const char* frame) {
  uint32_t length = 0;
  for (size_t i = 0; i < kFrameLengthBytes; ++i) {
    length = length << 8 | static_cast<unsigned char>(frame[i]);
  }
  return length;
}

absl::Status WriteFrame(int socket, const google::protobuf::MessageLite& message, uint32_t max) {
  const absl::StatusOr<std::string> frame = FrameOf(message, max);
  return frame.ok() ? SendAll(socket, *frame) : frame.status();
}

absl::Status ReadFrame(int socket, google::protobuf::MessageLite& message, uint32_t max) {
  char length[kFrameLengthBytes];
  size_t received = 0;
  if (absl::Status status = ReceiveUpTo(socket, length, kFrameLengthBytes, received); !status.ok()) {
    return status;
  }
  if (received == 0) {
    return absl::UnavailableError("the peer closed the connection");
  }
  if (received < kFrameLengthBytes) {
    return absl::DataLossError("the stream ended within a length");
  }
  const uint32_t size = AnnouncedLength(length);
  if (size > max) {
    return absl::InvalidArgumentError(
        absl::StrCat("the peer announced a message of ", size, " bytes, at most ", max, " are taken"));
  }
  std::string bytes(size, '\0');
  if (absl::Status status = ReceiveUpTo(socket, bytes.data(), size, received); !status.ok()) {
    return status;
  }
  if (received < size) {
    return absl::DataLossError(absl::StrCat("the stream ended after ", received, " of a message's ", size, " bytes"));
  }
  if (!message.ParseFromString(bytes)) {
    return absl::DataLossError("message does not parse");
  }
  return absl::OkStatus();
}

}  // namespace sluice
