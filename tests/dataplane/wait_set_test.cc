#include "dataplane/worker/wait_set.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <cstdint>

#include "tests/dataplane/epoll_members.h"

namespace sluice {
namespace {

class Event {
 public:
  Event() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  int fd() const { return fd_.get(); }
  void Set() {
    const uint64_t one = 1;
    ASSERT_EQ(write(fd(), &one, sizeof(one)), static_cast<ssize_t>(sizeof(one)));
  }

 private:
  UniqueFd fd_;
};

class WaitSetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(waits_for_.ok());
    waits_for_.Add(first_.fd(), true);
    waits_for_.Add(second_.fd(), true);
  }

  Event first_;
  Event second_;
  WaitSet waits_for_;
};

TEST_F(WaitSetTest, NamesTheDescriptorThatEndedTheSleep) {
  EXPECT_EQ(waits_for_.Wait(0), -1);
  second_.Set();
  EXPECT_EQ(waits_for_.Wait(-1), second_.fd());
  EXPECT_EQ(waits_for_.Wait(-1), second_.fd()) << "an event counts until it has been read";
}

TEST_F(WaitSetTest, EachOfSeveralHasItsTurn) {
  first_.Set();
  second_.Set();
  const int one = waits_for_.Wait(-1);
  const int other = waits_for_.Wait(-1);
  EXPECT_NE(one, other);
}

TEST_F(WaitSetTest, AMemberThatIsNotListenedToEndsNoSleep) {
  first_.Set();
  waits_for_.Listen(first_.fd(), false);
  EXPECT_EQ(waits_for_.Wait(0), -1);
  waits_for_.Listen(first_.fd(), true);
  EXPECT_EQ(waits_for_.Wait(-1), first_.fd()) << "the event that came meanwhile is not missed";
}

TEST_F(WaitSetTest, AMemberThatIsNotListenedToIsNotInTheEpollSet) {
  EXPECT_EQ(EpollMembers(), 2);
  waits_for_.Listen(second_.fd(), false);
  EXPECT_EQ(EpollMembers(), 1);
  waits_for_.Listen(second_.fd(), true);
  EXPECT_EQ(EpollMembers(), 2);
}

TEST_F(WaitSetTest, RemovedMembersAreForgotten) {
  first_.Set();
  second_.Set();
  waits_for_.Remove(first_.fd());
  EXPECT_EQ(waits_for_.Wait(-1), second_.fd());
  waits_for_.Listen(second_.fd(), false);
  EXPECT_EQ(waits_for_.Wait(0), -1);
  waits_for_.Add(first_.fd(), true);
  EXPECT_EQ(waits_for_.Wait(-1), first_.fd());
}

TEST_F(WaitSetTest, AddedMembersNeedNotBeListenedTo) {
  Event third;
  third.Set();
  waits_for_.Add(third.fd(), false);
  EXPECT_EQ(waits_for_.Wait(0), -1);
  waits_for_.Listen(third.fd(), true);
  EXPECT_EQ(waits_for_.Wait(-1), third.fd());
}

TEST_F(WaitSetTest, SleepsAreShortWhileAMemberCannotBeListenedTo) {
  const UniqueFd file(memfd_create("no waiting for files", MFD_CLOEXEC));
  waits_for_.Add(file.get(), true);
  EXPECT_EQ(waits_for_.Wait(-1), -1);
  waits_for_.Listen(file.get(), true);
  EXPECT_EQ(waits_for_.Wait(-1), -1) << "a second attempt does not help: epoll refuses files";
  waits_for_.Remove(file.get());
  first_.Set();
  EXPECT_EQ(waits_for_.Wait(-1), first_.fd());
}

}  // namespace
}  // namespace sluice
