#include "dataplane/base/whole_file.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "dataplane/base/unique_fd.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

constexpr size_t kMaxBytes = 100'000;

class WholeFileTest : public ::testing::Test {
 protected:
  std::string Content() const {
    std::stringstream text;
    text << std::ifstream(path_).rdbuf();
    return text.str();
  }
  size_t FilesThere() const {
    return static_cast<size_t>(
        std::distance(std::filesystem::directory_iterator(folder_.path()), std::filesystem::directory_iterator()));
  }

  const TempFolder folder_;
  const std::string path_ = folder_.path() + "/file";
};

TEST_F(WholeFileTest, NeverWaitsForAFifo) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  const absl::StatusOr<std::string> text = ReadWholeFile(path_, kMaxBytes);
  EXPECT_EQ(text.status().code(), absl::StatusCode::kInvalidArgument) << text.status();
  EXPECT_FALSE(ReadWholeFile(folder_.path(), kMaxBytes).ok()) << "a folder";
  EXPECT_FALSE(ReadWholeFile("/dev/zero", kMaxBytes).ok()) << "a device";
}

TEST_F(WholeFileTest, ReadsAPipeToItsEnd) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  std::thread writer([this] { std::ofstream(path_) << "some text"; });
  EXPECT_EQ(*ReadFileOrPipe(path_, kMaxBytes), "some text");
  writer.join();
}

TEST_F(WholeFileTest, DoesNotWaitForeverForAPipe) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  constexpr absl::Duration kSilence = absl::Milliseconds(50);
  const absl::Status nobody = ReadFileOrPipe(path_, kMaxBytes, kSilence).status();
  EXPECT_EQ(nobody.code(), absl::StatusCode::kDeadlineExceeded) << nobody;
  EXPECT_EQ(nobody.message(), path_ + ": nothing came for 50ms; does anything write to it?");
  const UniqueFd silent(open(path_.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(ReadFileOrPipe(path_, kMaxBytes, kSilence).status(), nobody);
  ASSERT_EQ(write(silent.get(), "half", 4), 4);
  EXPECT_EQ(ReadFileOrPipe(path_, kMaxBytes, kSilence).status(), nobody) << "a writer that never ends";
}

TEST_F(WholeFileTest, AWriterThatSaysNothingIsAnEmptyFile) {
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  std::thread writer([this] { std::ofstream(path_).flush(); });
  EXPECT_EQ(*ReadFileOrPipe(path_, kMaxBytes), "");
  writer.join();
}

TEST_F(WholeFileTest, AFileThatIsTooLargeIsNotRead) {
  std::ofstream(path_).flush();
  std::filesystem::resize_file(path_, uint64_t{10} << 30);
  EXPECT_EQ(ReadFileOrPipe(path_, kMaxBytes).status().message(), path_ + ": larger than 100000 bytes");
}

TEST_F(WholeFileTest, ReadsEveryByte) {
  std::string text(70'000, 'x');
  text[1] = '\0';
  text += "\n";
  std::ofstream(path_) << text;
  EXPECT_EQ(*ReadWholeFile(path_, kMaxBytes), text);
  EXPECT_EQ(*ReadWholeFile(path_, text.size()), text);
  std::ofstream(path_, std::ios::trunc).flush();
  EXPECT_EQ(*ReadWholeFile(path_, 0), "");
}

TEST_F(WholeFileTest, ReadErrorsNameThePathAndTheReason) {
  const absl::Status missing = ReadWholeFile(path_, kMaxBytes).status();
  EXPECT_EQ(missing, absl::NotFoundError(path_ + ": cannot be read: No such file or directory"));
  const absl::Status folder = ReadWholeFile(folder_.path(), kMaxBytes).status();
  EXPECT_EQ(folder, absl::InvalidArgumentError(folder_.path() + ": is not a regular file"));
  std::ofstream(path_) << "12345";
  const absl::Status large = ReadWholeFile(path_, 4).status();
  EXPECT_EQ(large, absl::InvalidArgumentError(path_ + ": larger than 4 bytes"));
  EXPECT_EQ(ReadFileOrPipe("/dev/zero", kMaxBytes).status().code(), absl::StatusCode::kInvalidArgument)
      << "reading an endless file must stop at the limit";
}

TEST_F(WholeFileTest, ReadsADescriptorToItsEnd) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  const UniqueFd near(fds[0]);
  UniqueFd far(fds[1]);
  std::thread writer([&] {
    for (const char* part : {"one ", "two ", "three"}) {
      EXPECT_GT(write(far.get(), part, strlen(part)), 0);
      usleep(1'000);
    }
    far.Reset();
  });
  EXPECT_EQ(*ReadToEnd(near.get(), "standard input", kMaxBytes), "one two three");
  writer.join();
  EXPECT_EQ(ReadToEnd(-1, "standard input", kMaxBytes).status().message(),
            "standard input: cannot be read: Bad file descriptor");
}

TEST_F(WholeFileTest, ReplacesAndLeavesNothingBehind) {
  ASSERT_TRUE(ReplaceFile(path_, "first").ok());
  EXPECT_EQ(Content(), "first");
  ASSERT_TRUE(ReplaceFile(path_, "").ok());
  EXPECT_EQ(Content(), "");
  ASSERT_TRUE(ReplaceFile(path_, std::string(kMaxBytes, 'y')).ok());
  EXPECT_EQ(Content(), std::string(kMaxBytes, 'y'));
  EXPECT_EQ(FilesThere(), 1u);
  struct stat file {};
  ASSERT_EQ(stat(path_.c_str(), &file), 0);
  const mode_t mask = umask(0);
  umask(mask);
  EXPECT_EQ(file.st_mode & 0777, 0644 & ~mask);
}

TEST_F(WholeFileTest, TakesAPathWithoutAFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  EXPECT_TRUE(ReplaceFile("file", "here").ok());
  EXPECT_EQ(Content(), "here");
  EXPECT_TRUE(RemoveFile("file").ok());
  std::filesystem::current_path(before);
  EXPECT_EQ(FilesThere(), 0u);
}

TEST_F(WholeFileTest, ReaderNeverSeesAHalf) {
  const std::string old_text(50'000, 'o');
  const std::string new_text(90'000, 'n');
  ASSERT_TRUE(ReplaceFile(path_, old_text).ok());
  std::thread writer([&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_TRUE(ReplaceFile(path_, i % 2 == 0 ? new_text : old_text).ok());
    }
  });
  for (int i = 0; i < 200; ++i) {
    const absl::StatusOr<std::string> text = ReadWholeFile(path_, kMaxBytes);
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_TRUE(*text == old_text || *text == new_text) << text->size();
  }
  writer.join();
}

TEST_F(WholeFileTest, WriteThatFailsLeavesTheOldContent) {
  ASSERT_TRUE(ReplaceFile(path_, "old").ok());
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit small{1'000, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const absl::Status full = ReplaceFile(path_, std::string(2'000, 'z'));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  signal(SIGXFSZ, SIG_DFL);
  EXPECT_EQ(full.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(full.message()), testing::HasSubstr(path_ + ".next: File too large"));
  EXPECT_EQ(Content(), "old");
}

TEST_F(WholeFileTest, ErrorsOfWritingNameThePath) {
  const absl::Status nowhere = ReplaceFile(folder_.path() + "/none/file", "text");
  EXPECT_EQ(nowhere.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(nowhere.message()), testing::HasSubstr("/none/file.next: No such file or directory"));
}

TEST_F(WholeFileTest, RemovesAFileAndAcceptsThatItIsGone) {
  ASSERT_TRUE(ReplaceFile(path_, "text").ok());
  EXPECT_TRUE(RemoveFile(path_).ok());
  EXPECT_EQ(FilesThere(), 0u);
  EXPECT_TRUE(RemoveFile(path_).ok());
  EXPECT_EQ(RemoveFile(folder_.path()).code(), absl::StatusCode::kInternal) << "a folder is not removed as a file";
}

}  // namespace
}  // namespace sluice
