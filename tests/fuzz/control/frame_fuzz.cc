// Reads any bytes from the agent's socket, to the end or an error. Every message that was read can be sent again.
#include <sys/socket.h>

#include <cstddef>
#include <cstdint>

#include "control/wire/framing.h"
#include "control/wire/sluice.pb.h"
#include "dataplane/base/unique_fd.h"
#include "tests/fuzz/require.h"

namespace {

using sluice::Require;

// Fits a socket's buffer, so that one thread can write everything and then read it.
constexpr size_t kMaxInputBytes = 16 * 1024;

struct Pair {
  sluice::UniqueFd near, far;
};

Pair MakePair() {
  int fds[2];
  Require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  return {sluice::UniqueFd(fds[0]), sluice::UniqueFd(fds[1])};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > kMaxInputBytes) {
    return 0;
  }
  Pair in = MakePair();
  Require(send(in.near.get(), data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
  in.near.Reset();
  sluice::wire::Request request;
  while (sluice::ReadFrame(in.far.get(), request).ok()) {
    const Pair again = MakePair();
    sluice::wire::Request copy;
    Require(sluice::WriteFrame(again.near.get(), request).ok());
    Require(sluice::ReadFrame(again.far.get(), copy).ok());
    Require(copy.SerializeAsString() == request.SerializeAsString());
  }
  return 0;
}
