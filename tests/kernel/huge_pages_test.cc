// UMEM memory on machines with and without free huge pages.
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "control/kernel/lane_sockets.h"
#include "dataplane/base/steady_time.h"
#include "tests/kernel/netns_fixture.h"
#include "tests/kernel/status_matchers.h"

namespace sluice {
namespace {

constexpr uint32_t kHugePageBytes = 2 << 20;
constexpr uint32_t kFrameBytes = 2048;
// The frames fill one huge page exactly, so the owner bytes need a second one.
constexpr UmemLayout kTwoPages{kHugePageBytes / kFrameBytes, kFrameBytes};
// A test that would need more pages than this is skipped.
constexpr uint32_t kMostPages = 512;

uint64_t ReadPool(const std::string& what) {
  uint64_t count = 0;
  std::ifstream("/sys/kernel/mm/hugepages/hugepages-2048kB/" + what) >> count;
  return count;
}

class HugePagesTest : public NetnsTest {
 protected:
  ~HugePagesTest() override {
    if (raised_) {
      SetPool(before_);
    }
  }
  // Asks the kernel for `by` more huge pages. It may find fewer.
  void RaisePool(uint64_t by) {
    raised_ = true;
    SetPool(before_ + by);
  }

 private:
  static void SetPool(uint64_t pages) {
    std::ofstream("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") << pages;
  }

  // The pool without surplus pages, which vanish once the process that used them has released them.
  const uint64_t before_ = ReadPool("nr_hugepages") - ReadPool("surplus_hugepages");
  bool raised_ = false;
};

TEST_F(HugePagesTest, AreTakenWhenTheyAreFree) {
  RaisePool(2);
  const uint64_t free = ReadPool("free_hugepages");
  if (free < 2) {
    GTEST_SKIP() << "the kernel gave no huge pages";
  }
  MakePort("port0", "wire0", 1);
  {
    absl::StatusOr<UniqueFd> umem = MakeUmemMemory(kTwoPages, "huge-test");
    ASSERT_OK(umem);
    EXPECT_TRUE(HasHugePages(umem->get()));
    EXPECT_EQ(lseek(umem->get(), 0, SEEK_END), 2 * kHugePageBytes);
    EXPECT_EQ(ReadPool("free_hugepages"), free - 2) << "the pages are reserved before anything touches them";
    EXPECT_NE(ftruncate(umem->get(), kHugePageBytes), 0);
    EXPECT_NE(ftruncate(umem->get(), 3 * kHugePageBytes), 0);

    absl::StatusOr<LaneSockets> lane = MakeLaneSockets(*std::move(umem), kTwoPages, kLaneRings, {{"port0", 0}});
    ASSERT_OK(lane);
    ASSERT_OK(BindLaneSockets(*lane, ModeSetting::kAuto, false, SteadyTime::Now() + absl::Seconds(30)));
  }
  // The pages are no longer in use. The kernel releases the UMEM of a closed socket after a while.
  for (int i = 0; i < 3000 && ReadPool("free_hugepages") != free; ++i) {
    absl::SleepFor(absl::Milliseconds(10));
  }
  EXPECT_EQ(ReadPool("free_hugepages"), free);
}

TEST_F(HugePagesTest, AreNotNeeded) {
  const uint64_t free = ReadPool("free_hugepages");
  if (free >= kMostPages) {
    GTEST_SKIP() << free << " huge pages are free, more than a test should ask for";
  }
  const UmemLayout layout{(static_cast<uint32_t>(free) + 1) * kTwoPages.frame_count, kFrameBytes};
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(layout, "ordinary-test");
  ASSERT_OK(umem);
  EXPECT_FALSE(HasHugePages(umem->get()));
  EXPECT_EQ(lseek(umem->get(), 0, SEEK_END), static_cast<off_t>(layout.total_bytes()));
  EXPECT_EQ(ReadPool("free_hugepages"), free) << "the pages, too few for the UMEM, were given back";
  MakePort("port0", "wire0", 1);
  ASSERT_OK(MakeLaneSockets(*std::move(umem), layout, kLaneRings, {{"port0", 0}}));
}

TEST_F(HugePagesTest, TooFewAreLeftAlone) {
  RaisePool(1);
  const uint64_t free = ReadPool("free_hugepages");
  if (free == 0 || free >= kMostPages) {
    GTEST_SKIP() << free << " huge pages are free";
  }
  // The owner bytes need one page more than there are free, so all pages are given back.
  const UmemLayout layout{static_cast<uint32_t>(free) * kTwoPages.frame_count, kFrameBytes};
  absl::StatusOr<UniqueFd> umem = MakeUmemMemory(layout, "too-few-test");
  ASSERT_OK(umem);
  EXPECT_FALSE(HasHugePages(umem->get()));
  EXPECT_EQ(ReadPool("free_hugepages"), free);
  void* memory = mmap(nullptr, layout.total_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, umem->get(), 0);
  ASSERT_NE(memory, MAP_FAILED);
  std::memset(memory, 1, layout.total_bytes());  // must not raise SIGBUS
  munmap(memory, layout.total_bytes());
}

}  // namespace
}  // namespace sluice
