#include "tests/cli/test_agent.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <utility>

#include "control/wire/framing.h"

namespace sluice {

TestAgent::TestAgent(const std::string& socket_path, Answer answer)
    : answer_(std::move(answer)), listener_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  strncpy(address.sun_path, socket_path.c_str(), sizeof(address.sun_path) - 1);
  if (bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(listener_.get(), 8) != 0) {
    perror("TestAgent");
    abort();
  }
  thread_ = std::thread([this] { Serve(); });
}

TestAgent::~TestAgent() {
  shutdown(listener_.get(), SHUT_RDWR);  // makes accept() return
  thread_.join();
}

std::vector<wire::Request> TestAgent::Requests() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return requests_;
}

void TestAgent::Serve() {
  for (;;) {
    const UniqueFd connection(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!connection) {
      return;
    }
    wire::Request request;
    while (ReadFrame(connection.get(), request).ok()) {
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        requests_.push_back(request);
      }
      wire::Response response;
      if (!answer_(request, response) || !WriteFrame(connection.get(), response).ok()) {
        break;
      }
    }
  }
}

}  // namespace sluice
