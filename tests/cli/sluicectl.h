// Runs the real sluicectl against a test agent.
#ifndef SLUICE_TESTS_CLI_SLUICECTL_H_
#define SLUICE_TESTS_CLI_SLUICECTL_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/test_agent.h"
#include "tests/lib/temp_folder.h"

extern char** environ;

namespace sluice {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

inline std::string Contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

class SluicectlTest : public testing::Test {
 protected:
  // Starts a test agent, in place of the previous one.
  void Agent(TestAgent::Answer answer) {
    agent_.reset();
    unlink(socket_.c_str());
    agent_ = std::make_unique<TestAgent>(socket_, std::move(answer));
  }

  // Runs sluicectl without --socket.
  Outcome RunBare(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), SLUICE_SLUICECTL);
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const std::string out = folder_ + "/out", err = folder_ + "/err";
    posix_spawn_file_actions_addopen(&files, 1, out.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    posix_spawn_file_actions_addopen(&files, 2, err.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    pid_t pid = 0;
    const int error = posix_spawn(&pid, argv[0], &files, nullptr, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    EXPECT_EQ(error, 0);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), Contents(out), Contents(err)};
  }
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"--socket", socket_});
    return RunBare(std::move(arguments));
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.path();
  const std::string socket_ = folder_ + "/agent.sock";
  std::unique_ptr<TestAgent> agent_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CLI_SLUICECTL_H_
