#include "dataplane/contract/fd_channel.h"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "dataplane/base/socket_error.h"

namespace sluice {
namespace {

std::vector<UniqueFd> TakeFds(msghdr& header) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
      fds.emplace_back(fd);
    }
  }
  return fds;
}

}  // namespace

absl::Status SendMessage(int socket, const google::protobuf::MessageLite& message, absl::Span<const int> fds) {
  std::string bytes = message.SerializeAsString();
  if (bytes.size() > kMaxMessageBytes || fds.size() > kMaxFds) {
    return absl::InvalidArgumentError(
        absl::StrCat("message of ", bytes.size(), " bytes with ", fds.size(), " descriptors is too large"));
  }
  // The receiver could not tell an empty packet from the end of the stream.
  if (bytes.empty()) {
    return absl::InvalidArgumentError("an empty message cannot be sent");
  }
  iovec iov{bytes.data(), bytes.size()};
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  if (!fds.empty()) {
    header.msg_control = control;
    header.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
    memset(control, 0, header.msg_controllen);
    cmsghdr* c = CMSG_FIRSTHDR(&header);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
    memcpy(CMSG_DATA(c), fds.data(), fds.size() * sizeof(int));
  }
  ssize_t sent;
  do {
    sent = sendmsg(socket, &header, MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  return sent < 0 ? SocketError(errno, "sendmsg") : absl::OkStatus();
}

absl::StatusOr<std::vector<UniqueFd>> ReceiveMessage(int socket, google::protobuf::MessageLite& message) {
  std::string bytes(kMaxMessageBytes, '\0');
  iovec iov{bytes.data(), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(kMaxFds * sizeof(int))];
  msghdr header{};
  header.msg_iov = &iov;
  header.msg_iovlen = 1;
  header.msg_control = control;
  header.msg_controllen = sizeof(control);
  ssize_t got;
  do {
    got = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return SocketError(errno, "recvmsg");
  }
  std::vector<UniqueFd> fds = TakeFds(header);
  if (got == 0) {
    return absl::UnavailableError("the peer closed the connection");
  }
  if ((header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return absl::DataLossError("message or its descriptors were cut off");
  }
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(got))) {
    return absl::DataLossError("message does not parse");
  }
  return fds;
}

}  // namespace sluice
