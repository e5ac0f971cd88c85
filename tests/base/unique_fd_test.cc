#include "dataplane/base/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <utility>

namespace sluice {
namespace {

int Open() {
  return memfd_create("unique-fd-test", MFD_CLOEXEC);
}

bool IsOpen(int fd) {
  return fcntl(fd, F_GETFD) >= 0;
}

TEST(UniqueFd, ClosesWithItsObject) {
  const int fd = Open();
  {
    const UniqueFd owner(fd);
    EXPECT_TRUE(static_cast<bool>(owner));
    EXPECT_EQ(owner.get(), fd);
    EXPECT_TRUE(IsOpen(fd));
  }
  EXPECT_FALSE(IsOpen(fd));
}

TEST(UniqueFd, MovesOwnershipAndClosesTheOldOne) {
  const int first = Open();
  const int second = Open();
  UniqueFd a(first);
  UniqueFd b(second);
  a = std::move(b);
  EXPECT_FALSE(IsOpen(first));
  EXPECT_EQ(a.get(), second);
  const UniqueFd c(std::move(a));
  EXPECT_EQ(c.get(), second);
  EXPECT_TRUE(IsOpen(second));
}

TEST(UniqueFd, ReleaseGivesItToTheCaller) {
  UniqueFd owner(Open());
  const int fd = owner.Release();
  EXPECT_FALSE(static_cast<bool>(owner));
  owner.Reset();
  EXPECT_TRUE(IsOpen(fd));
  owner.Reset(fd);
  owner.Reset();
  EXPECT_FALSE(IsOpen(fd));
}

}  // namespace
}  // namespace sluice
