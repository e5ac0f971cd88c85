// `sluicectl config …`: its requests, its output and its exit codes.
#include <gmock/gmock.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "dataplane/functions/catalog.h"
#include "tests/cli/sluicectl.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using ConfigVerbsTest = SluicectlTest;

TEST_F(ConfigVerbsTest, CheckNeedsNoAgent) {
  const Outcome good = Run({"config", "check", SLUICE_EXAMPLE});
  EXPECT_EQ(good.exit_code, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr(": good. Ports 2"));

  const std::string config = folder_ + "/config.toml";
  std::ofstream(config) << "[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n[function]\ntype = \"nosuch\"\n";
  const std::string problem = config + ":5: function.type: 'nosuch' is not allowed; allowed: " + FunctionNames();
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

TEST_F(ConfigVerbsTest, SendsTheTextAndTheAbsolutePath) {
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

TEST_F(ConfigVerbsTest, ProblemsOneALine) {
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
