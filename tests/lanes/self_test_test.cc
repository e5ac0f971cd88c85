#include "control/lanes/self_test.h"

#include <string>

#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SelfTestTest : public LanesTest {
 protected:
  SelfTestTest() : LanesTest(/*pairs=*/2) {
    StartLanes(2);
    for (uint32_t index = 0; index < kPorts; ++index) {
      fakes_[index]->self_tests = [this, index](uint32_t queue, bool live) {
        if (live && arrives_) {
          stats_->lanes[0].ports[index].self_test_packets.Add(1);
        }
        return sluice_self_test{.seen = 1, .has_socket = 1, .socket_queue = queue};
      };
    }
  }
  // Has port 1 note `test` about queue 1.
  void Note(const sluice_self_test& test) {
    fakes_[1]->self_tests = [test](uint32_t queue, bool) {
      return queue == 1 ? test : sluice_self_test{.seen = 1, .has_socket = 1, .socket_queue = queue};
    };
  }
  absl::Status Run() { return RunSelfTest(ports_, *lanes_, dataplane_, absl::Milliseconds(20)); }
  std::string Refusal() {
    const absl::Status s = Run();
    EXPECT_EQ(s.code(), absl::StatusCode::kFailedPrecondition) << s;
    return std::string(s.message());
  }

  bool arrives_ = true;
};

TEST_F(SelfTestTest, LooksAtEachQueueAndSendsALiveFrameToTheFirst) {
  ASSERT_TRUE(Run().ok());
  EXPECT_THAT(log_, ElementsAre("eth0: test 0", "eth0: test 1", "dataplane: expect self-test on lane 0",
                                "eth0: live test 0", "dataplane: end of self-test on lane 0", "eth1: test 0",
                                "eth1: test 1", "dataplane: expect self-test on lane 0", "eth1: live test 0",
                                "dataplane: end of self-test on lane 0"));
  ASSERT_TRUE(ports_[1].self_test().has_value());
  EXPECT_TRUE(ports_[1].self_test()->complete);
  EXPECT_THAT(ports_[1].self_test()->words, HasSubstr("2 queues"));
}

TEST_F(SelfTestTest, ARefusalNamesPortQueueAndStep) {
  Note({.seen = 1});
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("port eth1"), HasSubstr("queue 1"), HasSubstr("no socket")));
  Note({.seen = 1, .has_socket = 1, .socket_queue = 7});
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("port eth1"), HasSubstr("queue 1"), HasSubstr("bound to queue 7")));
  Note({});
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("port eth1"), HasSubstr("queue 1"), HasSubstr("did not see")));
}

TEST_F(SelfTestTest, AFrameThatDoesNotArriveIsARefusal) {
  arrives_ = false;
  EXPECT_THAT(Refusal(), AllOf(HasSubstr("port eth0"), HasSubstr("queue 0"), HasSubstr("received none")));
  EXPECT_EQ(log_.back(), "dataplane: end of self-test on lane 0");
  EXPECT_FALSE(ports_[0].self_test().has_value());
}

TEST_F(SelfTestTest, WhatCannotBeTestedIsSaidAndNoRefusal) {
  Note({});
  fakes_[1]->others = 1;
  fakes_[0]->self_tests = [](uint32_t queue, bool live) -> absl::StatusOr<sluice_self_test> {
    if (live) {
      return absl::UnimplementedError("no live frames");
    }
    return sluice_self_test{.seen = 1, .has_socket = 1, .socket_queue = queue};
  };
  ASSERT_TRUE(Run().ok());
  EXPECT_FALSE(ports_[0].self_test()->complete);
  EXPECT_THAT(ports_[0].self_test()->words, AllOf(HasSubstr("2 queues"), HasSubstr("no live frames")));
  EXPECT_FALSE(ports_[1].self_test()->complete);
  EXPECT_THAT(ports_[1].self_test()->words, AllOf(HasSubstr("left out"), HasSubstr("dispatcher")));
}

TEST_F(SelfTestTest, ADataplaneThatDiesIsNoRefusal) {
  connection_.dies_at = "expect self-test on lane 0";
  EXPECT_EQ(Run().code(), absl::StatusCode::kUnavailable) << "the agent tries another one";
}

}  // namespace
}  // namespace sluice
