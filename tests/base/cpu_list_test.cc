#include "dataplane/base/cpu_list.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

TEST(ParseCpuList, TakesTheKernelsFormat) {
  const struct {
    const char* text;
    std::vector<uint32_t> cpus;
  } cases[] = {
      {"", {}},     {"\n", {}},           {"0", {0}},        {"0\n", {0}},     {"0-3,6", {0, 1, 2, 3, 6}},
      {"5-5", {5}}, {"6,0-1", {0, 1, 6}}, {"1,1-2", {1, 2}}, {"1023", {1023}},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<std::vector<uint32_t>> cpus = ParseCpuList(c.text);
    ASSERT_TRUE(cpus.ok()) << c.text << ": " << cpus.status();
    EXPECT_EQ(*cpus, c.cpus) << c.text;
  }
}

TEST(ParseCpuList, RefusesAnythingElse) {
  for (const char* text : {"x", "1-", "-1", "3-1", "1;2", "1-2-3", "0x3", "99999999999", "0-4000000000", "1 2"}) {
    const absl::StatusOr<std::vector<uint32_t>> cpus = ParseCpuList(text);
    EXPECT_EQ(cpus.status().code(), absl::StatusCode::kInvalidArgument) << text;
  }
}

TEST(ReadCpuList, SaysWhichFileCannotBeRead) {
  const TempFolder folder;
  const std::string path = folder.path() + "/cpus";
  const absl::Status missing = ReadCpuList(path).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_NE(std::string(missing.message()).find(path), std::string::npos);
  std::ofstream(path) << "2-3\n";
  EXPECT_EQ(*ReadCpuList(path), (std::vector<uint32_t>{2, 3}));
}

TEST(CpuList, OfThisMachine) {
  const absl::StatusOr<std::vector<uint32_t>> online = OnlineCpus();
  ASSERT_TRUE(online.ok()) << online.status();
  EXPECT_EQ(online->size(), static_cast<size_t>(sysconf(_SC_NPROCESSORS_ONLN)));
  const absl::StatusOr<uint32_t> ids = PossibleCpuIds();
  ASSERT_TRUE(ids.ok()) << ids.status();
  EXPECT_GT(*ids, online->back());
}

TEST(CpuList, OfAProcessAsItsAffinityLeavesIt) {
  const absl::StatusOr<std::vector<uint32_t>> before = AllowedCpus(0);
  ASSERT_TRUE(before.ok()) << before.status();
  ASSERT_FALSE(before->empty());
  std::thread([&before] {
    cpu_set_t last;
    CPU_ZERO(&last);
    CPU_SET(before->back(), &last);
    ASSERT_EQ(sched_setaffinity(0, sizeof(last), &last), 0);
    EXPECT_EQ(*AllowedCpus(0), std::vector<uint32_t>{before->back()});
  }).join();
  EXPECT_EQ(*AllowedCpus(getpid()), *before);
  EXPECT_TRUE(absl::IsNotFound(AllowedCpus(INT32_MAX).status()));
}

}  // namespace
}  // namespace sluice
