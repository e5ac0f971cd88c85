#include "control/state/state_file.h"

#include <unistd.h>

#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace sluice {
namespace {

std::string TempPath(const std::string& name) {
  return ::testing::TempDir() + "/" + name + std::to_string(getpid());
}

TEST(StateFile, ComesBackAsItWasWritten) {
  const std::string path = TempPath("state");
  absl::StatusOr<StateFile> first = StateFile::Open(path);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_FALSE(first->found());
  first->Update([](SavedState& state) { state.set_dataplane_pid(42); });
  first->Update([](SavedState& state) { state.add_ports()->set_netdev("eth0"); });
  absl::StatusOr<StateFile> next = StateFile::Open(path);
  ASSERT_TRUE(next.ok()) << next.status();
  EXPECT_TRUE(next->found());
  EXPECT_EQ(next->state().SerializeAsString(), first->state().SerializeAsString());
  EXPECT_EQ(next->state().dataplane_pid(), 42U);
  EXPECT_TRUE(next->Remove().ok());
  EXPECT_FALSE(StateFile::Open(path)->found());
  EXPECT_TRUE(next->Remove().ok()) << "removing a file that is gone is no error";
}

TEST(StateFile, BrokenOneIsAnErrorThatNamesIt) {
  const std::string path = TempPath("broken");
  std::ofstream(path) << "{ not json";
  const absl::StatusOr<StateFile> read = StateFile::Open(path);
  EXPECT_TRUE(absl::IsDataLoss(read.status()));
  EXPECT_NE(std::string(read.status().message()).find(path), std::string::npos);
  (void)unlink(path.c_str());
}

TEST(StateFile, GoesOnWhenItCannotBeWritten) {
  absl::StatusOr<StateFile> state = StateFile::Open("/no/such/folder/state");
  ASSERT_TRUE(state.ok()) << state.status();
  state->Update([](SavedState& saved) { saved.set_restarts(3); });
  EXPECT_EQ(state->state().restarts(), 3U);
}

}  // namespace
}  // namespace sluice
