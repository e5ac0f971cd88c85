#include "control/dataplane/dataplane_client.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/control_dataplane/fake_dataplane.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DataplaneClientTest : public testing::Test {
 protected:
  std::vector<std::string> log_;
  FakeDataplane fake_{log_};
  CallLog calls_;
  DataplaneClient client_{fake_, calls_};
};

TEST_F(DataplaneClientTest, PassesRequestsAndReturnsTheirErrors) {
  dataplane::LaneSpec lane;
  lane.set_index(3);
  EXPECT_TRUE(client_.AddLane(lane, 1, /*steered=*/false, {7, 8, 9}).ok());
  EXPECT_FALSE(fake_.lanes.at(3).steered);
  EXPECT_TRUE(client_.SteerLane(3).ok());
  EXPECT_TRUE(fake_.lanes.at(3).steered);
  EXPECT_TRUE(absl::IsAlreadyExists(client_.AddLane(lane, 1, /*steered=*/true, {})));
  EXPECT_TRUE(client_.SetTransmitLanes(0, /*every_lane=*/true, /*probe_flows=*/true).ok());
  EXPECT_TRUE(client_.PlaceLanes({5, 6}, {{{3, 1}}}).ok());
  EXPECT_TRUE(client_.ShareCredit({1, 2}).ok());
  EXPECT_TRUE(client_.QuarantineSentFrames(1, 16).ok());
  EXPECT_TRUE(client_.OffloadFlows(4, {1024}, {1, 2, 3}).ok());
  EXPECT_TRUE(client_.SetFlowEpoch(0).ok());
  EXPECT_TRUE(client_.CountCrashDrops().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: add lane 3 unsteered with 3 fds", "dataplane: steer lane 3",
                                "dataplane: add lane 3 with 0 fds", "dataplane: transmit by 0 of every lane, probing",
                                "dataplane: cores 5,6 lanes 3:1", "dataplane: share credit with 2 fds",
                                "dataplane: quarantine 16 on port 1", "dataplane: epoch 4 with 3 fds",
                                "dataplane: epoch 0 with 0 fds", "dataplane: settle"));
  EXPECT_FALSE(client_.down()) << "a dataplane that refuses a request is not down";
}

TEST_F(DataplaneClientTest, PassesCountersAndRcuMapsWithTheConfiguration) {
  client_.SetStats(*StatsView::Make());
  dataplane::Configure configuration;
  configuration.set_function("reflect");
  const RcuWaiter rcu{UniqueFd(), UniqueFd()};
  EXPECT_TRUE(client_.Configure(configuration, rcu, /*state_fd=*/-1).ok());
  EXPECT_TRUE(client_.Configure(configuration, rcu, client_.stats().fd()).ok())
      << "with a fourth descriptor, the state memory";
  EXPECT_THAT(log_, ElementsAre("dataplane: configure reflect with 3 fds", "dataplane: configure reflect with 4 fds"));
}

TEST_F(DataplaneClientTest, ALaneThatIsNotThereIsRemoved) {
  EXPECT_TRUE(client_.RemoveLane(3).ok());
  fake_.refused["remove lane 3"] = absl::InternalError("stuck");
  EXPECT_EQ(client_.RemoveLane(3).message(), "stuck");
  fake_.alive = false;
  EXPECT_TRUE(client_.RemoveLane(3).ok()) << "a dataplane that died has no lanes any more";
  EXPECT_TRUE(client_.gone());
}

TEST_F(DataplaneClientTest, IsDownFromTheCallThatFindsItGone) {
  EXPECT_TRUE(client_.CheckUp().ok());
  fake_.dies_at = "settle";
  EXPECT_TRUE(absl::IsUnavailable(client_.CountCrashDrops()));
  EXPECT_TRUE(client_.down());
  EXPECT_TRUE(client_.gone());
  EXPECT_TRUE(absl::IsFailedPrecondition(client_.CheckUp()));
  client_.SetDown();
  EXPECT_TRUE(client_.down());
  EXPECT_FALSE(client_.gone()) << "SetDown was called, so the loop knows already";
  client_.SetUp();
  EXPECT_FALSE(client_.down());
}

TEST_F(DataplaneClientTest, DropsADataplaneThatDoesNotAnswer) {
  for (const absl::Status& answer : {absl::DeadlineExceededError("late"), absl::DataLossError("garbled")}) {
    log_.clear();
    fake_.alive = true;
    client_.SetUp();
    fake_.refused["settle"] = answer;
    const absl::Status s = client_.CountCrashDrops();
    EXPECT_TRUE(absl::IsUnavailable(s));
    EXPECT_THAT(std::string(s.message()), HasSubstr(std::string(answer.message())));
    EXPECT_TRUE(client_.gone());
    EXPECT_THAT(log_, ElementsAre("dataplane: settle", "dataplane: dropped"));
  }
}

// The dataplane is a process of the test's that does not beat.
class HangingDataplaneTest : public DataplaneClientTest {
 protected:
  HangingDataplaneTest() {
    client_.SetStats(*StatsView::Make());
    fake_.process = fork();
    if (fake_.process == 0) {
      while (true) {
        pause();
      }
    }
    kill(fake_.process, SIGSTOP);
    fake_.hangs = true;
  }
  ~HangingDataplaneTest() override {
    kill(fake_.process, SIGKILL);
    waitpid(fake_.process, nullptr, 0);
  }
};

TEST_F(HangingDataplaneTest, ACallThatWaitsForItEndsIt) {
  const absl::Status s = client_.CountCrashDrops();
  EXPECT_TRUE(absl::IsUnavailable(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("its control thread has been stopped by a signal"));
  EXPECT_TRUE(client_.gone());
  EXPECT_THAT(log_, ElementsAre("dataplane: settle", "dataplane: dropped"));
  client_.SetDown();
  EXPECT_THAT(client_.why_ended(), HasSubstr("stopped by a signal"));
  client_.SetUp();
  EXPECT_EQ(client_.why_ended(), "");
}

TEST_F(HangingDataplaneTest, WatchingItEndsIt) {
  for (int look = 0; look < 600 && !client_.gone(); ++look) {
    client_.Watch();
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_TRUE(client_.gone());
  EXPECT_TRUE(client_.down());
  EXPECT_THAT(log_, ElementsAre("dataplane: dropped"));
}

TEST_F(DataplaneClientTest, ChangesBehindAFence) {
  const auto change = [this] {
    log_.emplace_back("changed");
    return absl::OkStatus();
  };
  EXPECT_TRUE(client_.Fenced({0, 1}, change, {64}).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: hold 0,1", "changed", "dataplane: release after 64"));
  std::vector<std::string> names;
  for (const TimedCall& call : calls_.Take()) {
    names.push_back(call.name);
  }
  EXPECT_THAT(names, ElementsAre("hold lanes back", "wait until the old way is empty"));
}

TEST_F(DataplaneClientTest, AChangeThatFailedReleasesLanesUnproven) {
  EXPECT_EQ(client_.Fenced({0}, [] { return absl::InternalError("no"); }, {1}).message(), "no");
  EXPECT_THAT(log_, ElementsAre("dataplane: hold 0", "dataplane: release after 1, unproven"));
}

TEST_F(DataplaneClientTest, AFenceThatCannotBeRaisedChangesNothing) {
  fake_.refused["hold 0"] = absl::NotFoundError("no such lane");
  bool changed = false;
  const auto change = [&] {
    changed = true;
    return absl::OkStatus();
  };
  EXPECT_TRUE(absl::IsNotFound(client_.Fenced({0}, change, {})));
  EXPECT_FALSE(changed);
  fake_.refused["release after "] = absl::InternalError("stuck");
  fake_.refused.erase("hold 0");
  EXPECT_TRUE(client_.Fenced({0}, change, {}).ok()) << "a fence that cannot be lowered is only logged";
}

TEST_F(DataplaneClientTest, WithoutADataplaneTheChangeIsMadeAllTheSame) {
  fake_.alive = false;
  bool changed = false;
  EXPECT_TRUE(client_
                  .Fenced({0},
                          [&] {
                            changed = true;
                            return absl::OkStatus();
                          },
                          {})
                  .ok());
  EXPECT_TRUE(changed);
}

TEST_F(DataplaneClientTest, LetsADataplaneEndUnlessItRefuses) {
  EXPECT_TRUE(client_.ShutDown().ok());
  fake_.alive = true;
  fake_.refused["shut down"] = absl::InternalError("stuck");
  EXPECT_FALSE(client_.ShutDown().ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: shut down", "dataplane: dropped in peace", "dataplane: shut down",
                                "dataplane: dropped"));
}

}  // namespace
}  // namespace sluice
