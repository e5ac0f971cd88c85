// A peer for sluicectl: listens like an agent, uses the real framing, and answers as the test wants.
#ifndef SLUICE_TESTS_CLI_TEST_AGENT_H_
#define SLUICE_TESTS_CLI_TEST_AGENT_H_

#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "control/wire/sluice.pb.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {

class TestAgent {
 public:
  // Called on the agent's thread. Returning false closes the connection without an answer.
  using Answer = std::function<bool(const wire::Request&, wire::Response&)>;

  TestAgent(const std::string& socket_path, Answer answer);
  ~TestAgent();
  std::vector<wire::Request> Requests();

 private:
  void Serve();

  Answer answer_;
  UniqueFd listener_;
  std::mutex mutex_;
  std::vector<wire::Request> requests_;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CLI_TEST_AGENT_H_
