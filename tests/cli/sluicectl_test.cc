// The real program: what it asks, what it prints, and its exit code.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tests/cli/test_agent.h"

extern char** environ;

namespace sluice {
namespace {

using testing::HasSubstr;

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

std::string Contents(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
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

  std::string folder_, socket_;
  std::unique_ptr<TestAgent> agent_;
};

// One port, one queue; counters that grow with each call.
bool Healthy(const wire::Request& request, wire::Response& response) {
  static uint64_t calls = 0;
  ++calls;
  const auto fill = [](wire::Port& port) {
    port.set_name("wan");
    port.set_netdev("eth1");
    port.add_queues()->set_rx_packets(calls * 100);
  };
  switch (request.body_case()) {
    case wire::Request::kStatus:
      response.mutable_status()->mutable_dataplane()->set_state("running");
      fill(*response.mutable_status()->add_ports());
      response.mutable_status()->add_workers()->set_core(3);
      return true;
    case wire::Request::kStats:
      response.mutable_stats()->set_monotonic_ns(calls * 1'000'000'000);
      fill(*response.mutable_stats()->add_ports());
      return true;
    case wire::Request::kSetQueues:
    case wire::Request::kSetWorkers:
      response.mutable_resize()->set_method("cores");
      response.mutable_resize()->add_steps("hand lane 1 to worker 0");
      return true;
    case wire::Request::kDoctor:
      response.mutable_doctor()->add_findings()->set_check("kernel");
      return true;
    default:
      return false;
  }
}

TEST_F(SluicectlTest, UsageErrors) {
  struct {
    std::vector<std::string> arguments;
    const char* words;
  } const cases[] = {
      {{}, "a command is missing"},
      {{"queue"}, "queue"},
      {{"flows"}, "flows"},
      {{"rules"}, "rules"},
      {{"top"}, "top"},
      {{"capture"}, "capture"},
      {{"config"}, "a command is missing"},
      {{"config", "apply", "f", "g"}, "g"},
      {{"config", "apply", "--confirm"}, "--confirm"},
      {{"config", "apply", "--confirm", "60"}, "'60' is not a duration"},
      {{"config", "apply", "--confirm", "0s"}, "out of range"},
      {{"config", "apply", "--confirm", "25h"}, "out of range"},
      {{"config", "diff", "--confirm", "60s"}, "--confirm"},
      {{"config", "confirm", "f"}, "f"},
      {{"config", "rollback", "f"}, "f"},
      {{"config", "check"}, "FILE is required"},
      {{"status", "workers"}, "workers"},
      {{"status", "wan"}, "wan"},
      {{"queues", "wan", "lan"}, "lan"},
      {{"status", "-o", "xml"}, "xml"},
      {{"status", "--wide"}, "--wide"},
      {{"queues", "set"}, "N is required"},
      {{"queues", "set", "two"}, "'two' is not a positive whole number"},
      {{"queues", "set", "-2"}, "'-2' is not a positive whole number"},
      {{"queues", "set", "2.5"}, "'2.5' is not a positive whole number"},
      {{"queues", "set", ""}, "not a positive whole number"},
      {{"queues", "set", "4294967296"}, "too large"},
      {{"queues", "set", "2", "3"}, "3"},
      {{"queues", "set", "2", "--method", "magic"}, "magic"},
      {{"queues", "set", "2", "--timeout", "5"}, "'5' is not a duration"},
      {{"queues", "set", "2", "--timeout", "0s"}, "out of range"},
      {{"queues", "set", "2", "--timeout", "-1s"}, "out of range"},
      {{"workers", "set", "many"}, "'many' is not a positive whole number"},
      {{"stats", "--watch", "often"}, "'often' is not a duration"},
      {{"stats", "--watch", "1ms"}, "out of range"},
  };
  Agent([](const wire::Request&, wire::Response&) { return false; });
  for (const auto& c : cases) {
    const Outcome outcome = Run(c.arguments);
    EXPECT_EQ(outcome.exit_code, 2) << testing::PrintToString(c.arguments);
    EXPECT_THAT(outcome.err, HasSubstr(c.words));
    EXPECT_THAT(outcome.err, HasSubstr("sluicectl --help"));
    EXPECT_EQ(outcome.out, "");
  }
  EXPECT_TRUE(agent_->Requests().empty());
}

TEST_F(SluicectlTest, HelpAndVersion) {
  EXPECT_EQ(RunBare({"--help"}).exit_code, 0);
  const Outcome help = RunBare({"queues", "set", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_THAT(help.out, HasSubstr("--dry-run"));
  const Outcome version = RunBare({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_THAT(version.out, testing::MatchesRegex("sluicectl [0-9]+\\.[0-9]+\\.[0-9]+\n"));
}

TEST_F(SluicectlTest, NoAgentIsThree) {
  for (const std::vector<std::string>& arguments :
       std::vector<std::vector<std::string>>{{"status"},
                                             {"queues"},
                                             {"queues", "set", "2"},
                                             {"workers"},
                                             {"stats"},
                                             {"workers", "set", "1"},
                                             {"stats", "--watch"},
                                             {"config", "diff", SLUICE_EXAMPLE},
                                             {"config", "apply", SLUICE_EXAMPLE},
                                             {"config", "confirm"},
                                             {"config", "rollback"},
                                             {"doctor"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 3) << testing::PrintToString(arguments);
    EXPECT_THAT(outcome.err, HasSubstr(socket_));
    EXPECT_THAT(outcome.err, HasSubstr("Start sluice-agent"));
  }
  EXPECT_THAT(Run({"doctor"}).err, HasSubstr("doctor --config"));
}

TEST_F(SluicectlTest, AgentThatHangsUpIsThree) {
  Agent([](const wire::Request&, wire::Response&) { return false; });
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_THAT(outcome.err, HasSubstr("closed the connection"));
}

TEST_F(SluicectlTest, ImpossibleSocketPathIsUsage) {
  EXPECT_EQ(RunBare({"--socket", std::string(200, 'x'), "status"}).exit_code, 2);
}

TEST_F(SluicectlTest, SocketFromTheEnvironment) {
  Agent(Healthy);
  setenv("SLUICE_SOCKET", socket_.c_str(), 1);
  EXPECT_EQ(RunBare({"status", "-o", "json"}).exit_code, 0);
  EXPECT_EQ(RunBare({"status", "--socket", "/nowhere/agent.sock"}).exit_code, 3);  // the option wins
  unsetenv("SLUICE_SOCKET");
}

TEST_F(SluicectlTest, StatusShowsRates) {
  Agent(Healthy);
  const Outcome outcome = Run({"status"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("100"));
  EXPECT_THAT(outcome.out, HasSubstr("dataplane running"));
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos) << "not a terminal";
}

TEST_F(SluicectlTest, JsonIsTheMessage) {
  Agent(Healthy);
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {"-o", "json", "status"}, {"status", "-o", "json"}, {"queues", "-o", "json"}, {"workers", "-o", "json"}}) {
    const Outcome outcome = Run(arguments);
    EXPECT_EQ(outcome.exit_code, 0);
    wire::StatusResponse status;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(outcome.out, &status).ok()) << outcome.out;
    EXPECT_EQ(status.ports(0).name(), "wan");
  }
}

TEST_F(SluicectlTest, QueuesOfOnePort) {
  Agent(Healthy);
  EXPECT_THAT(Run({"queues", "wan"}).out, HasSubstr("wan"));
  EXPECT_THAT(Run({"queues", "eth1"}).out, HasSubstr("wan"));
  const Outcome outcome = Run({"queues", "lan"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no port lan; there are: wan"));
}

TEST_F(SluicectlTest, SetQueuesAsksForWhatWasTyped) {
  Agent(Healthy);
  EXPECT_EQ(Run({"queues", "set", "3"}).exit_code, 0);
  EXPECT_EQ(
      Run({"queues", "set", "0", "--method", "channels", "--dry-run", "--timeout", "1500ms", "--force"}).exit_code, 0);
  const std::vector<wire::Request> requests = agent_->Requests();
  ASSERT_EQ(requests.size(), 2u);
  EXPECT_EQ(requests[0].set_queues().ShortDebugString(), "count: 3");
  EXPECT_EQ(requests[1].set_queues().ShortDebugString(),
            "method: \"channels\" dry_run: true timeout_ms: 1500 force: true");
}

TEST_F(SluicectlTest, SetWorkers) {
  Agent(Healthy);
  EXPECT_EQ(Run({"workers", "set", "2"}).exit_code, 0);
  EXPECT_EQ(agent_->Requests()[0].set_workers().count(), 2u);
}

TEST_F(SluicectlTest, ResultsAreExitCodes) {
  const std::pair<wire::Result, int> cases[] = {
      {wire::RESULT_OK, 0}, {wire::RESULT_REFUSED, 1}, {wire::RESULT_TIMED_OUT, 4}};
  for (const auto& [result, exit_code] : cases) {
    TearDown();
    SetUp();
    Agent([result = result](const wire::Request&, wire::Response& response) {
      response.set_result(result);
      response.set_error(result == wire::RESULT_OK ? "" : "wan: the device has 2 queue pairs");
      response.mutable_resize()->set_method("channels");
      response.mutable_resize()->mutable_outcome()->set_result("rolled back");
      return true;
    });
    const Outcome outcome = Run({"queues", "set", "9"});
    EXPECT_EQ(outcome.exit_code, exit_code);
    EXPECT_EQ(outcome.err, exit_code == 0 ? "" : "sluicectl: wan: the device has 2 queue pairs\n");
    EXPECT_THAT(outcome.out, HasSubstr("rolled back"));
  }
}

TEST_F(SluicectlTest, AnswerOfAnotherKindIsAFailure) {
  Agent([](const wire::Request&, wire::Response& response) {
    response.mutable_doctor();
    return true;
  });
  const Outcome outcome = Run({"workers"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("of one version"));
}

TEST_F(SluicectlTest, StatsOnceAndWatched) {
  int calls = 0;
  Agent([&calls](const wire::Request& request, wire::Response& response) {
    return ++calls != 4 && Healthy(request, response);
  });
  EXPECT_THAT(Run({"stats"}).out, HasSubstr("RX PACKETS"));
  const Outcome watched = Run({"stats", "--watch", "100ms", "-o", "json"});
  EXPECT_EQ(watched.exit_code, 3) << "the agent went away";
  EXPECT_EQ(std::count(watched.out.begin(), watched.out.end(), '\n'), 2) << watched.out;
}

TEST_F(SluicectlTest, WatchWithoutAnInterval) {
  int calls = 0;
  Agent([&calls](const wire::Request& request, wire::Response& response) {
    return ++calls != 2 && Healthy(request, response);
  });
  const Outcome watched = Run({"stats", "--watch"});
  EXPECT_EQ(watched.exit_code, 3);
  EXPECT_THAT(watched.out, HasSubstr("RX PACKETS"));
}

TEST_F(SluicectlTest, DoctorFailsOnErrors) {
  wire::Severity severity = wire::SEVERITY_WARNING;
  Agent([&severity](const wire::Request& request, wire::Response& response) {
    wire::Finding& finding = *response.mutable_doctor()->add_findings();
    finding.set_port(request.doctor().port());
    finding.set_check("mtu");
    finding.set_severity(severity);
    return true;
  });
  EXPECT_EQ(Run({"doctor"}).exit_code, 0);
  severity = wire::SEVERITY_ERROR;
  const Outcome outcome = Run({"doctor", "wan"});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("port wan\n  ERROR"));
}

TEST_F(SluicectlTest, DoctorWithoutAnAgent) {
  const std::string config = folder_ + "/config.toml";
  std::ofstream(config) << "[[port]]\nname = \"wan\"\nnetdev = \"no-such-device\"\n[function]\ntype = \"reflect\"\n";
  const Outcome outcome = Run({"doctor", "--config", config});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.out, HasSubstr("port wan\n  ERROR    netdev"));
  EXPECT_THAT(Run({"doctor", "--config", config, "lan"}).err, HasSubstr("no port lan"));
}

TEST_F(SluicectlTest, ConfigCheckNeedsNoAgent) {
  const Outcome good = Run({"config", "check", SLUICE_EXAMPLE});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr(": good. Ports 2"));

  const std::string config = folder_ + "/config.toml";
  std::ofstream(config) << "[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[function]\ntype = \"nat\"\n";
  const std::string problem = config + ":5: function.type: 'nat' is not allowed; allowed: reflect, forward";
  const Outcome bad = Run({"config", "check", config});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_EQ(bad.err, problem + "\n");
  wire::ConfigCheck check;
  ASSERT_TRUE(
      google::protobuf::util::JsonStringToMessage(Run({"config", "check", config, "-o", "json"}).out, &check).ok());
  EXPECT_FALSE(check.valid());
  EXPECT_EQ(check.problems(0), problem);
  EXPECT_EQ(Run({"config", "check", "/nowhere.toml"}).exit_code, 1);
}

TEST_F(SluicectlTest, ConfigSendsTheTextAndTheAbsolutePath) {
  Agent([](const wire::Request& /*request*/, wire::Response& response) {
    wire::ConfigChange& change = *response.mutable_config()->add_changes();
    change.set_key("dataplane.queue_pairs");
    change.set_before("1");
    change.set_after("2");
    response.mutable_config()->add_warnings("it is another file");
    response.mutable_config()->mutable_config()->set_file("/etc/x.toml");
    response.mutable_config()->mutable_config()->mutable_pending()->set_seconds_left(59);
    return true;
  });
  const std::string config = folder_ + "/config.toml";
  const std::string bytes("a\0\xff", 3);
  std::ofstream(config) << bytes;
  const Outcome diff = Run({"config", "diff", config});
  EXPECT_EQ(diff.exit_code, 0) << diff.err;
  EXPECT_THAT(diff.out, HasSubstr("dataplane.queue_pairs  1        2     live"));
  const Outcome applied = Run({"config", "apply", folder_ + "/../" + folder_.substr(5) + "/config.toml"});
  EXPECT_THAT(applied.out, HasSubstr("live\nwarning: it is another file\napplied\n"));
  EXPECT_THAT(applied.out, HasSubstr("rolled back in 59 s"));
  EXPECT_EQ(Run({"config", "apply", config, "--confirm", "1m30s"}).exit_code, 0);
  EXPECT_EQ(Run({"config", "confirm"}).exit_code, 0);
  EXPECT_EQ(Run({"config", "rollback"}).exit_code, 0);
  const std::vector<wire::Request> requests = agent_->Requests();
  ASSERT_EQ(requests.size(), 5u);
  EXPECT_EQ(requests[0].config_diff().file(), config);
  EXPECT_EQ(requests[0].config_diff().text(), bytes);
  EXPECT_EQ(requests[1].config_apply().file(), config);
  EXPECT_EQ(requests[1].config_apply().confirm_ms(), 0u);
  EXPECT_EQ(requests[2].config_apply().confirm_ms(), 90'000u);
  EXPECT_TRUE(requests[3].has_config_confirm());
  EXPECT_TRUE(requests[4].has_config_rollback());
}

TEST_F(SluicectlTest, ConfigProblemsOneALine) {
  Agent([](const wire::Request& /*request*/, wire::Response& response) {
    response.set_result(wire::RESULT_REFUSED);
    response.set_error("f has problems; nothing was changed");
    response.mutable_config()->add_problems("f:1: port: missing");
    response.mutable_config()->add_problems("f:2: x: unknown key");
    return true;
  });
  const Outcome outcome = Run({"config", "apply", SLUICE_EXAMPLE});
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("f:1: port: missing\nf:2: x: unknown key\n"));
  const Outcome json = Run({"config", "apply", SLUICE_EXAMPLE, "-o", "json"});
  EXPECT_THAT(json.out, HasSubstr("\"f:2: x: unknown key\""));
  EXPECT_EQ(Run({"config", "apply", "/nowhere.toml"}).exit_code, 1);
}

}  // namespace
}  // namespace sluice
