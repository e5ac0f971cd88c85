#include "control/state/lock_file.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

TEST(LockFile, IsOneProcesssAndSaysWhose) {
  const TempFolder folder;
  const std::string path = folder.path() + "/locks/one";
  absl::StatusOr<LockFile> first = LockFile::Take(path, "pid 1, which answers on /run/x");
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status second = LockFile::Take(path, "second").status();
  EXPECT_TRUE(absl::IsAlreadyExists(second));
  EXPECT_EQ(second.message(), "pid 1, which answers on /run/x");
  EXPECT_TRUE(LockFile::Take(folder.path() + "/locks/other", "second").ok());
  std::optional<LockFile> moved = *std::move(first);
  EXPECT_FALSE(LockFile::Take(path, "second").ok());
  moved.reset();
  EXPECT_NE(access(path.c_str(), F_OK), 0) << "nothing is left";
  EXPECT_TRUE(LockFile::Take(path, "second").ok());
}

TEST(LockFile, IsFreeWhenItsOwnerIsKilled) {
  const TempFolder folder;
  const std::string path = folder.path() + "/lock";
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const absl::StatusOr<LockFile> lock = LockFile::Take(path, "child");
    (void)!write(ready[1], "x", 1);
    while (true) {
      pause();
    }
  }
  char byte;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(absl::IsAlreadyExists(LockFile::Take(path, "parent").status()));
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(LockFile::Take(path, "parent").ok()) << "although the file is still there";
}

TEST(LockFile, LeadsNowhereElse) {
  const TempFolder folder;
  const std::string path = folder.path() + "/lock";
  const std::string target = folder.path() + "/target";
  ASSERT_EQ(symlink(target.c_str(), path.c_str()), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(LockFile::Take(path, "me").status()));
  EXPECT_NE(access(target.c_str(), F_OK), 0);
  EXPECT_TRUE(absl::IsFailedPrecondition(LockFile::Take("/no/such/folder/lock", "me").status()));
}

}  // namespace
}  // namespace sluice
