// The real program's help, errors, and output on a terminal.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/cli/sluicectl.h"

namespace sluice {
namespace {

using testing::HasSubstr;

class MannersTest : public SluicectlTest {
 protected:
  // Runs sluicectl on a terminal of this width. `out` has its standard output and its errors.
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
    for (ssize_t got; (got = read(terminal, piece, sizeof(piece))) > 0;) {  // ends with EIO
      outcome.out.append(piece, static_cast<size_t>(got));
    }
    close(terminal);
    int status = 0;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    outcome.out.erase(std::remove(outcome.out.begin(), outcome.out.end(), '\r'), outcome.out.end());
    return outcome;
  }
};

std::string WithoutColours(const std::string& text) {
  std::string plain;
  for (const absl::string_view part : absl::StrSplit(text, '\033')) {
    absl::StrAppend(&plain, part.data() == text.data() ? part : part.substr(part.find('m') + 1));
  }
  return plain;
}

// Answers like an agent with one port that refuses every change.
bool Answer(const wire::Request& request, wire::Response& response) {
  if (request.has_status()) {
    response.mutable_status()->mutable_dataplane()->set_state("running");
    response.mutable_status()->add_ports()->set_name("wan");
    response.mutable_status()->mutable_ports(0)->add_queues();
  } else if (request.has_stats()) {
    response.mutable_stats()->set_monotonic_ns(1);
  } else if (request.has_doctor()) {
    response.mutable_doctor();
  } else {
    response.set_result(wire::RESULT_REFUSED);
    response.set_error("no");
  }
  return true;
}

// Returns the lines of a command's --help that begin with the program's name.
std::vector<std::string> ExamplesIn(const std::string& help) {
  std::vector<std::string> examples;
  for (const absl::string_view line : absl::StrSplit(help, '\n')) {
    if (absl::StartsWith(line, "  sluicectl ")) {
      const std::vector<std::string> parts = absl::StrSplit(line, '#');
      examples.push_back(parts[0]);
    }
  }
  return examples;
}

TEST_F(MannersTest, EveryExampleInTheHelpCanBeTyped) {
  int calls = 0;
  Agent([&calls](const wire::Request& request, wire::Response& response) {
    return ++calls % 3 != 0 && Answer(request, response);  // every third call fails, so that --watch ends
  });
  size_t examples = 0;
  const std::string about_all = RunBare({"--help"}).out;
  std::vector<std::string> helps = {about_all};
  const std::string verbs = about_all.substr(about_all.find("Subcommands:"));
  for (const absl::string_view line : absl::StrSplit(verbs.substr(0, verbs.find("\n\n")), '\n')) {
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (absl::StartsWith(line, "  ")) {
      helps.push_back(RunBare({words[0], "--help"}).out);
    }
  }
  EXPECT_GE(helps.size(), 7u);
  for (const std::string& help : helps) {
    for (const std::string& example : ExamplesIn(help)) {
      std::vector<std::string> words = absl::StrSplit(example, ' ', absl::SkipEmpty());
      words.erase(words.begin());
      std::replace(words.begin(), words.end(), std::string("5s"), std::string("200ms"));  // for --watch
      EXPECT_NE(Run(words).exit_code, 2) << example;
      ++examples;
    }
  }
  EXPECT_GE(examples, 15u);
}

TEST_F(MannersTest, ErrorsLeaveJsonAlone) {
  Agent([](const wire::Request&, wire::Response& response) {
    response.set_result(wire::RESULT_REFUSED);
    response.set_error("no");
    return true;
  });
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{{"status"},
                                                                                         {"queues"},
                                                                                         {"queues", "set", "2"},
                                                                                         {"queues", "hold"},
                                                                                         {"workers"},
                                                                                         {"workers", "set", "1"},
                                                                                         {"stats"},
                                                                                         {"doctor"}}) {
    std::vector<std::string> words = arguments;
    words.insert(words.end(), {"-o", "json"});
    const Outcome outcome = Run(words);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.out, "") << "without an answer no JSON is printed";
    EXPECT_EQ(outcome.err, "sluicectl: no\n");
  }
}

TEST_F(MannersTest, OnATerminalTablesFitAndAreColoured) {
  Agent([](const wire::Request& request, wire::Response& response) {
    const bool known = Answer(request, response);
    if (response.has_status()) {
      wire::Port& port = *response.mutable_status()->mutable_ports(0);
      port.set_netdev("enp12s0f1np1");
      port.set_driver("virtio_net");
      port.mutable_xdp()->set_mode("native");
      port.mutable_xdp()->set_attached_by("sluice-agent");
      port.mutable_queues(0)->set_mode("zerocopy");
      port.mutable_queues(0)->set_mode_reason(
          "a reason of some words that is longer than a line of the terminal has room");
      port.mutable_queues(0)->set_rx_packets(123456789012345);
      port.mutable_queues(0)->set_tx_packets(123456789012345);
    }
    return known;
  });
  unsetenv("NO_COLOR");
  constexpr unsigned short kColumns = 60;
  const Outcome outcome = RunOnTerminal({"status"}, kColumns);
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.out, HasSubstr("\033[32mrunning\033[0m"));
  const std::string plain = WithoutColours(outcome.out);
  for (const absl::string_view line : absl::StrSplit(plain, '\n')) {
    EXPECT_LE(line.size(), kColumns) << line;
  }
  EXPECT_EQ(plain.find('\033'), std::string::npos);
  EXPECT_THAT(plain, HasSubstr("123456789012345"));
  EXPECT_THAT(RunOnTerminal({"status"}, 0).out, HasSubstr("TX PACKETS  TX/S  DROPS"))
      << "a terminal of unknown width gets full lines";

  setenv("NO_COLOR", "1", 1);
  EXPECT_EQ(RunOnTerminal({"status"}, kColumns).out, plain);
  setenv("NO_COLOR", "", 1);
  EXPECT_THAT(RunOnTerminal({"status"}, kColumns).out, HasSubstr("\033[32mrunning"));
  unsetenv("NO_COLOR");
  EXPECT_EQ(RunOnTerminal({"status", "-o", "json"}, kColumns).out.find('\033'), std::string::npos);
}

}  // namespace
}  // namespace sluice
