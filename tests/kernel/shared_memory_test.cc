#include "control/kernel/shared_memory.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <string>

namespace sluice {
namespace {

constexpr size_t kBytes = 1'000'000;  // no whole pages

TEST(SharedMemory, IsThereBeforeAnybodyTouchesIt) {
  const absl::StatusOr<UniqueFd> memory = MakeSharedMemory("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  struct stat file {};
  ASSERT_EQ(fstat(memory->get(), &file), 0);
  EXPECT_EQ(static_cast<size_t>(file.st_size), kBytes);
  EXPECT_GE(static_cast<size_t>(file.st_blocks) * 512, kBytes);
}

TEST(SharedMemory, KeepsItsSizeWhateverItsUsersDo) {
  const absl::StatusOr<UniqueFd> memory = MakeSharedMemory("test", kBytes);
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_EQ(fcntl(memory->get(), F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
  EXPECT_NE(ftruncate(memory->get(), kBytes - 1), 0);
  EXPECT_NE(ftruncate(memory->get(), kBytes + 1), 0);
  EXPECT_NE(fcntl(memory->get(), F_ADD_SEALS, F_SEAL_WRITE), 0) << "nobody locks its writers out";
}

TEST(SharedMemory, ThatCannotBeHadIsAnErrorWithAdvice) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto former = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit less{kBytes - 1, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &less), 0);
  const absl::Status refused = MakeSharedMemory("test", kBytes).status();
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, former);
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_THAT(std::string(refused.message()),
              testing::AllOf(testing::HasSubstr("1000000 bytes for memfd test"), testing::HasSubstr("free memory")));
}

TEST(SharedMemory, AStrangersIsCheckedForItsSizeAndSeals) {
  constexpr size_t kBytes = 3 * 4096;
  const absl::StatusOr<UniqueFd> ours = MakeSharedMemory("test", kBytes);
  ASSERT_TRUE(ours.ok()) << ours.status();
  EXPECT_TRUE(CheckSharedMemory(ours->get(), kBytes, PageKind::kOrdinary).ok());
  EXPECT_TRUE(CheckSharedMemory(ours->get(), kBytes, PageKind::kHuge).ok());
  EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(ours->get(), kBytes + 1, PageKind::kOrdinary)));
  EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(-1, 0, PageKind::kOrdinary)));
  for (const int seals : {0, F_SEAL_SHRINK, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_GROW | F_SEAL_SEAL}) {
    const UniqueFd other(memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ASSERT_EQ(ftruncate(other.get(), kBytes), 0);
    ASSERT_EQ(fcntl(other.get(), F_ADD_SEALS, seals), 0);
    EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(other.get(), kBytes, PageKind::kOrdinary))) << seals;
  }
  const UniqueFd file(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(file.get(), 1, PageKind::kHuge)));
  const UniqueFd device(open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(device.get(), 0, PageKind::kHuge)));
}

TEST(SharedMemory, HugePagesThatMayNotBeThereAreNotToBeMapped) {
  constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
  const UniqueFd huge(memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB));
  if (!huge) {
    GTEST_SKIP() << "this kernel has no huge pages";
  }
  ASSERT_EQ(ftruncate(huge.get(), 1 << 21), 0);
  ASSERT_EQ(fcntl(huge.get(), F_ADD_SEALS, kSeals), 0);
  EXPECT_TRUE(absl::IsDataLoss(CheckSharedMemory(huge.get(), 4096, PageKind::kOrdinary)));
  EXPECT_TRUE(CheckSharedMemory(huge.get(), 4096, PageKind::kHuge).ok());
}

}  // namespace
}  // namespace sluice
