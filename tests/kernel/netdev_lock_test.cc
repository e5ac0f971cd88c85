#include "control/kernel/netdev_lock.h"

#include <gmock/gmock.h>
#include <net/if.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

using testing::HasSubstr;

class NetdevLockTest : public NetnsTest {
 protected:
  void SetUp() override {
    NetnsTest::SetUp();
    if (!IsSkipped()) {
      MakePort("port0", "wire0", 1);
    }
  }
  void TearDown() override {
    for (const pid_t child : children_) {
      kill(child, SIGKILL);
      waitpid(child, nullptr, 0);
    }
    NetnsTest::TearDown();
  }
  // Runs `hold` in another process, of this user, which then stays.
  pid_t InChild(const std::function<void()>& hold) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      hold();
      (void)!write(ready[1], "x", 1);
      while (true) {
        pause();
      }
    }
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    children_.push_back(child);
    return child;
  }
  void End(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    std::erase(children_, child);
  }
  // Takes the names as any user may.
  static void Squat(uint32_t first, uint32_t end, bool listens) {
    constexpr uid_t kStranger = 2000000002;
    ASSERT_EQ(setresuid(kStranger, kStranger, kStranger), 0);
    for (uint32_t number = first; number < end; ++number) {
      const std::string name = absl::StrCat("sluice/netdev/", if_nametoindex("port0"), "/", number);
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      name.copy(address.sun_path + 1, sizeof(address.sun_path) - 1);
      const int fd = socket(AF_UNIX, SOCK_STREAM, 0);  // stays open
      ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address),
                     static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size())),
                0);
      ASSERT_EQ(listens ? listen(fd, 1) : 0, 0);
    }
  }
  static void TakeForGood() { static absl::StatusOr<NetdevLock> lock = NetdevLock::Take("port0"); }

 private:
  std::vector<pid_t> children_;
};

TEST_F(NetdevLockTest, IsOneAgentsByWhateverName) {
  Shell("ip link property add dev port0 altname otherwise0");
  const pid_t owner = InChild(&TakeForGood);
  for (const char* name : {"port0", "otherwise0"}) {
    const absl::Status taken = NetdevLock::Take(name).status();
    EXPECT_EQ(taken.code(), absl::StatusCode::kAlreadyExists);
    EXPECT_THAT(std::string(taken.message()), HasSubstr(absl::StrCat("pid ", owner, " (")));
  }
  EXPECT_OK(NetdevLock::Take("wire0"));
  EXPECT_EQ(NetdevLock::Take("nothing0").status().code(), absl::StatusCode::kNotFound);
  End(owner);
  EXPECT_OK(NetdevLock::Take("otherwise0")) << "its owner was killed";
}

TEST_F(NetdevLockTest, TwoPortsOnOneDeviceAreAMistakeInTheConfiguration) {
  Shell("ip link property add dev port0 altname otherwise0");
  const absl::StatusOr<NetdevLock> lock = NetdevLock::Take("port0");
  ASSERT_OK(lock);
  EXPECT_EQ(NetdevLock::Take("otherwise0").status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(NetdevLockTest, OtherUsersDoNotKeepAnAgentAway) {
  const pid_t stranger = InChild([] { Squat(0, 3, /*listens=*/true); });
  const pid_t silent = InChild([] { Squat(3, 5, /*listens=*/false); });
  const pid_t owner = InChild(&TakeForGood);
  EXPECT_EQ(NetdevLock::Take("port0").status().code(), absl::StatusCode::kAlreadyExists);
  End(stranger);
  EXPECT_EQ(NetdevLock::Take("port0").status().code(), absl::StatusCode::kAlreadyExists)
      << "the first name is free, but the device is the agent's by another";
  End(owner);
  EXPECT_OK(NetdevLock::Take("port0"));
  End(silent);
}

TEST_F(NetdevLockTest, AUserThatHoldsAllNamesIsNamed) {
  const pid_t stranger = InChild([] { Squat(0, 8, /*listens=*/true); });
  const absl::Status taken = NetdevLock::Take("port0").status();
  EXPECT_EQ(taken.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(taken.message()), HasSubstr(absl::StrCat("pid ", stranger)));
  EXPECT_THAT(std::string(taken.message()), HasSubstr("uid 2000000002"));
}

}  // namespace
}  // namespace sluice
