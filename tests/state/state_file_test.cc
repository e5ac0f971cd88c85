#include "control/state/state_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

std::string TempPath(const std::string& name) {
  return ::testing::TempDir() + "/" + name + std::to_string(getpid());
}

TEST(StateFile, ComesBackAsItWasWritten) {
  const std::string path = TempPath("state");
  StateFile first = StateFile::Open(path);
  EXPECT_FALSE(first.found());
  first.Update([](SavedState& state) { state.set_dataplane_pid(42); });
  first.Update([](SavedState& state) {
    state.add_ports()->set_netdev("eth0");
    state.mutable_ports(0)->set_queue_pairs(1);
  });
  StateFile next = StateFile::Open(path);
  EXPECT_TRUE(next.found());
  EXPECT_EQ(next.state().SerializeAsString(), first.state().SerializeAsString());
  EXPECT_EQ(next.state().dataplane_pid(), 42U);
  EXPECT_TRUE(next.Remove().ok());
  EXPECT_FALSE(StateFile::Open(path).found());
  EXPECT_TRUE(next.Remove().ok()) << "removing a file that is gone is no error";
}

TEST(StateFile, OneThatCannotBeBelievedCountsAsMissing) {
  const std::string path = TempPath("broken");
  const std::string deep(100000, '[');
  for (const std::string& text :
       {std::string(), std::string("{ not json"), std::string("\0\xff\x80", 3), std::string("[]"),
        std::string("{\"x\":1}"), deep, absl::StrCat("{\"ports\":", deep),
        std::string(R"({"dataplanePid":4294967295})"), std::string(R"({"activePairs":65})"),
        std::string(R"({"resize":{"to":65}})"), std::string(R"({"heldBy":"\u001b[2J"})"),
        std::string(R"({"ports":[{"netdev":"../../etc/passwd","queuePairs":1}]})"),
        std::string(R"({"ports":[{"netdev":"eth0","queuePairs":5000}]})"),
        std::string(R"({"ports":[{"netdev":"eth0"}]})"),
        std::string(R"({"ports":[{"netdev":"eth0","queuePairs":1},{"netdev":"eth0","queuePairs":1}]})"),
        std::string(R"({"rules":[{"id":1,"hits":2048}],"nextRuleId":2})"),
        std::string(R"({"rules":[{"id":1},{"id":1,"hits":1}],"nextRuleId":2})"),
        std::string(R"({"rules":[{"id":7}],"nextRuleId":7})")}) {
    std::ofstream(path, std::ios::binary) << text;
    const StateFile read = StateFile::Open(path);
    EXPECT_FALSE(read.found()) << text.substr(0, 60);
    EXPECT_EQ(read.state().ByteSizeLong(), 0U) << text.substr(0, 60);
    EXPECT_TRUE(absl::IsDataLoss(ParseSavedState(text).status())) << text.substr(0, 60);
  }
  (void)unlink(path.c_str());
}

TEST(StateFile, NoFileOfAnotherKindIsRead) {
  const std::string path = TempPath("folder");
  ASSERT_EQ(mkdir(path.c_str(), 0700), 0);
  EXPECT_FALSE(StateFile::Open(path).found());
  ASSERT_EQ(rmdir(path.c_str()), 0);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_FALSE(StateFile::Open(path).found()) << "and nobody waits for its writer";
  ASSERT_EQ(unlink(path.c_str()), 0);
}

TEST(StateFile, GoesOnWhenItCannotBeWritten) {
  StateFile state = StateFile::Open("/no/such/folder/state");
  state.Update([](SavedState& saved) { saved.set_restarts(3); });
  EXPECT_EQ(state.state().restarts(), 3U);
}

}  // namespace
}  // namespace sluice
