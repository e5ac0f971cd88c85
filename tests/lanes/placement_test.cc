#include "control/lanes/placement.h"

#include <string>
#include <vector>

#include "tests/lanes/lanes_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class PlacementTest : public LanesTest {};

TEST_F(PlacementTest, LanesGoRoundTheWorkersAndQueuesFollow) {
  StartLanes(3);
  ASSERT_TRUE(placement_->Place(2, lanes_->All()).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: cores 0,1 lanes 0:0 1:1 2:0 64:0", "eth0: queues on 0,1,0",
                                "eth1: queues on 0,1,0"));
  EXPECT_THAT(placement_->queue_cpus(), ElementsAre(0, 1, 0));
  EXPECT_EQ(placement_->WorkerOf(1), 1U);
  EXPECT_EQ(placement_->WorkerOf(kBridgeLane), 0U);
}

TEST_F(PlacementTest, SavesTheSettingsBeforeItChangesThem) {
  StartLanes(3);
  EXPECT_EQ(state_.state().ports(1).affinity().at("/queues"), "3");
}

TEST_F(PlacementTest, UsesNoMoreWorkersThanThereAreCores) {
  StartLanes(1);
  placement_->SetUsableCores({2, 3});
  ASSERT_TRUE(placement_->Place(4, lanes_->All()).ok());
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(2, 3));
  ASSERT_TRUE(placement_->StartWorkers(0).ok());
  EXPECT_EQ(placement_->workers(), 1U) << "there is always one worker";
}

TEST_F(PlacementTest, WithOneCoreQueuesAreLeftAlone) {
  StartLanes(2);
  placement_->SetUsableCores({3});
  ASSERT_TRUE(placement_->Place(1, lanes_->All()).ok());
  EXPECT_THAT(log_, ElementsAre("dataplane: cores 3 lanes 0:0 1:0 64:0"));
}

TEST_F(PlacementTest, AnErrorChangesNothing) {
  StartLanes(2);
  connection_.refused["cores 0,1,2 lanes 0:0 1:1 64:0"] = absl::InternalError("no thread");
  EXPECT_EQ(placement_->Place(3, lanes_->All()).message(), "no thread");
  EXPECT_THAT(placement_->worker_cores(), ElementsAre(0, 1));
  EXPECT_THAT(Logged("queues on"), IsEmpty());
}

TEST_F(PlacementTest, QueuesThatCannotBePlacedAreNotKnown) {
  StartLanes(2);
  fakes_[1]->refused = {"queues on 0,1"};
  EXPECT_TRUE(placement_->Place(2, lanes_->All()).ok()) << "packets flow although the queues are not placed";
  EXPECT_THAT(placement_->queue_cpus(), IsEmpty());
}

TEST_F(PlacementTest, UsesTheConfiguredCoresThatAreOnline) {
  EXPECT_THAT(*placement_->FindUsableCores(), ElementsAre(0, 1, 2, 3));
  placement_->SetWish({std::nullopt, {3, 7, 1}});
  EXPECT_THAT(*placement_->FindUsableCores(), ElementsAre(3, 1)) << "in the order of the configuration";
  placement_->SetWish({std::nullopt, {7}});
  EXPECT_THAT(*placement_->FindUsableCores(), ElementsAre(0, 1, 2, 3))
      << "if no configured core is online, any core will do";
  online_ = absl::NotFoundError("no /sys");
  EXPECT_FALSE(placement_->FindUsableCores().ok());
}

TEST_F(PlacementTest, NamesACoreThatIsNotOnline) {
  EXPECT_TRUE(placement_->CheckCores({}).ok());
  EXPECT_TRUE(placement_->CheckCores({3, 0}).ok());
  const absl::Status s = placement_->CheckCores({3, 9});
  EXPECT_TRUE(absl::IsFailedPrecondition(s));
  EXPECT_THAT(std::string(s.message()), HasSubstr("core 9 is not online"));
}

}  // namespace
}  // namespace sluice
