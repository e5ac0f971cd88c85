#include "dataplane/base/mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

constexpr size_t kBytes = 8192;

UniqueFd Memory(size_t bytes) {
  UniqueFd memory(memfd_create("mapping-test", MFD_CLOEXEC));
  EXPECT_EQ(ftruncate(memory.get(), static_cast<off_t>(bytes)), 0);
  return memory;
}

// Returns true if something is mapped at this address (mincore(2): otherwise ENOMEM).
bool IsMapped(void* start) {
  unsigned char present = 0;
  return mincore(start, 1, &present) == 0;
}

TEST(Mapping, SharesTheFilesMemory) {
  UniqueFd memory = Memory(kBytes);
  const absl::StatusOr<Mapping> one = Mapping::Share(memory.get(), kBytes, 0, "a file");
  const absl::StatusOr<Mapping> second_page = Mapping::Share(memory.get(), kBytes / 2, kBytes / 2, "a page");
  ASSERT_TRUE(one.ok()) << one.status();
  ASSERT_TRUE(second_page.ok()) << second_page.status();
  one->start()[kBytes / 2] = 42;
  EXPECT_EQ(second_page->start()[0], 42);
  memory.Reset();
  EXPECT_EQ(one->start()[kBytes / 2], 42) << "the mapping stays when the descriptor is closed";
}

TEST(Mapping, ShareFileTakesAllOfIt) {
  const UniqueFd memory = Memory(3 * kBytes);
  const absl::StatusOr<Mapping> all = Mapping::ShareFile(memory.get(), "a file");
  ASSERT_TRUE(all.ok()) << all.status();
  EXPECT_EQ(all->bytes(), 3 * kBytes);
}

TEST(Mapping, UnmapsOnceWhenItsLastOwnerGoes) {
  const UniqueFd memory = Memory(kBytes);
  uint8_t* start = nullptr;
  {
    absl::StatusOr<Mapping> mapped = Mapping::ShareFile(memory.get(), "a file");
    ASSERT_TRUE(mapped.ok()) << mapped.status();
    start = mapped->start();
    Mapping taken = *std::move(mapped);
    EXPECT_EQ(taken.start(), start);
    Mapping assigned;
    assigned = std::move(taken);
    EXPECT_EQ(assigned.start(), start);
    EXPECT_TRUE(IsMapped(start));
  }
  EXPECT_FALSE(IsMapped(start));
}

TEST(Mapping, ErrorsNameTheRange) {
  const absl::Status refused = Mapping::Share(-1, kBytes, 0, "the fill ring").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kInternal);
  EXPECT_EQ(refused.message(), "mmap of the fill ring, 8192 bytes: Bad file descriptor");
  EXPECT_EQ(Mapping::ShareFile(-1, "the UMEM").status().code(), absl::StatusCode::kInvalidArgument);
  const absl::Status empty = Mapping::ShareFile(Memory(0).get(), "the UMEM").status();
  EXPECT_EQ(empty.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(empty.message(), "the UMEM is empty");
}

}  // namespace
}  // namespace sluice
