// Runs the real sluicectl beside a test agent.
#ifndef SLUICE_TESTS_CLI_SLUICECTL_H_
#define SLUICE_TESTS_CLI_SLUICECTL_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "tests/cli/test_agent.h"

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

inline std::string WithoutColours(const std::string& text) {
  return std::regex_replace(text, std::regex("\033\\[[0-9;]*m"), "");
}

class SluicectlTest : public testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/sluicectl-test-XXXXXX";
    ASSERT_NE(mkdtemp(folder), nullptr);
    folder_ = folder;
    socket_ = folder_ + "/agent.sock";
  }
  void TearDown() override {
    agent_.reset();
    for (const char* name : {"/agent.sock", "/out", "/err", "/config.toml"}) {
      unlink((folder_ + name).c_str());
    }
    rmdir(folder_.c_str());
  }

  void Agent(TestAgent::Answer answer) { agent_ = std::make_unique<TestAgent>(socket_, std::move(answer)); }

  // Without --socket.
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

  // Both outputs are `out`.
  Outcome RunOnTerminal(std::vector<std::string> arguments, unsigned short columns) {
    arguments.insert(arguments.begin(), {SLUICE_SLUICECTL, "--socket", socket_});
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
      argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    setenv("TERM", "xterm", 1);
    const winsize size{24, columns, 0, 0};
    int terminal = -1;
    const pid_t pid = forkpty(&terminal, nullptr, nullptr, &size);
    if (pid == 0) {
      execv(argv[0], argv.data());
      _exit(127);
    }
    Outcome outcome;
    char piece[4096];
    for (ssize_t got; (got = read(terminal, piece, sizeof(piece))) > 0;) {  // EIO at the end
      outcome.out.append(piece, static_cast<size_t>(got));
    }
    close(terminal);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.out.erase(std::remove(outcome.out.begin(), outcome.out.end(), '\r'), outcome.out.end());
    return outcome;
  }

  std::string folder_, socket_;
  std::unique_ptr<TestAgent> agent_;
};

}  // namespace sluice

#endif  // SLUICE_TESTS_CLI_SLUICECTL_H_
