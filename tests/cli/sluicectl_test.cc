// The real program: its requests, its output and its exit codes.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "tests/cli/sluicectl.h"

namespace sluice {
namespace {

using testing::HasSubstr;

// Answers with one port that has one queue. The counters grow with each call.
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
      {{}, "a command is missing; there are: status, queues, workers"},
      {{"queue"}, "not expected: queue; there are: status, queues"},
      {{"flows"}, "flows"},
      {{"capture"}, "capture"},
      {{"top"}, "top"},
      {{"capture"}, "capture"},
      {{"config"}, "a command is missing; there are: check"},
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
      {{"queues", "set"}, "N is required\nRun `sluicectl queues set --help`"},
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
    EXPECT_THAT(outcome.err, testing::ContainsRegex("Run `sluicectl[a-z ]* --help` for what there is"));
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
                                             {"queues", "auto"},
                                             {"queues", "hold"},
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
  EXPECT_EQ(outcome.out.find('\033'), std::string::npos) << "no colours, since the output is not a terminal";
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

TEST_F(SluicectlTest, SetQueuesAsksForTheTypedNumber) {
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

TEST_F(SluicectlTest, AutoscaleGoesOnOrHolds) {
  Agent([](const wire::Request& request, wire::Response& response) {
    response.mutable_autoscale()->set_mode(request.autoscale().hold() ? "hold" : "auto");
    response.mutable_autoscale()->set_pairs(2);
    return true;
  });
  EXPECT_EQ(Run({"queues", "hold"}).out, "hold: 2 of 0..0\n");
  EXPECT_EQ(Run({"queues", "auto"}).out, "auto: 2 of 0..0\n");
  EXPECT_THAT(Run({"queues", "auto", "-o", "json"}).out, HasSubstr("\"mode\": \"auto\""));
  const std::vector<wire::Request> requests = agent_->Requests();
  ASSERT_EQ(requests.size(), 3U);
  EXPECT_TRUE(requests[0].has_autoscale() && requests[0].autoscale().hold());
  EXPECT_TRUE(requests[1].has_autoscale() && !requests[1].autoscale().hold());
  EXPECT_EQ(Run({"queues", "auto", "2"}).exit_code, 2);
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

}  // namespace
}  // namespace sluice
