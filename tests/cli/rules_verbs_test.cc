// `sluicectl rules …`: its requests, its output and its exit codes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/sluicectl.h"

namespace sluice {
namespace {

using testing::HasSubstr;

TEST_F(SluicectlTest, RulesAreShownAndChanged) {
  Agent([](const wire::Request&, wire::Response& response) {
    wire::Rule& rule = *response.mutable_rules()->add_rules();
    rule.set_id(7);
    rule.set_packets(12);
    rule.mutable_fields()->insert({{"action", "drop"}, {"dst_port", "22"}, {"proto", "tcp"}});
    return true;
  });
  const Outcome shown = Run({"rules"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("7  drop         12      0  proto=tcp dst_port=22\n"));
  EXPECT_EQ(Run({"rules", "add", "drop", "proto=tcp", "dst_port=22", "--before", "3"}).exit_code, 0);
  EXPECT_EQ(Run({"rules", "del", "7", "8"}).exit_code, 0);
  const auto requests = agent_->Requests();
  ASSERT_EQ(requests.size(), 3u);
  const auto& add = requests[1].change_rules().add();
  EXPECT_EQ(add.fields().at("action") + add.fields().at("proto") + add.fields().at("dst_port"), "droptcp22");
  EXPECT_EQ(add.before(), 3u);
  EXPECT_THAT(requests[2].change_rules().remove().ids(), testing::ElementsAre(7, 8));
}

}  // namespace
}  // namespace sluice
