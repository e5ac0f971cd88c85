#include "control/wire/framing.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>

#include "control/wire/sluice.pb.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

class FramingTest : public testing::Test {
 protected:
  void SetUp() override {
    int fds[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    near_.Reset(fds[0]);
    far_.Reset(fds[1]);
  }
  void SendRaw(const std::string& bytes) {
    ASSERT_EQ(send(near_.get(), bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  }
  absl::Status Read() { return ReadFrame(far_.get(), got_); }

  static wire::Response ResponseOf(size_t bytes) {
    wire::Response response;
    response.set_error(std::string(bytes, 'x'));
    return response;
  }
  static std::string Frame(const wire::Response& response) {
    const std::string body = response.SerializeAsString();
    const auto size = static_cast<uint32_t>(body.size());
    return std::string{static_cast<char>(size >> 24), static_cast<char>(size >> 16 & 0xff),
                       static_cast<char>(size >> 8 & 0xff), static_cast<char>(size & 0xff)} +
           body;
  }

  UniqueFd near_, far_;
  wire::Response got_;
};

TEST_F(FramingTest, AWrittenMessageIsRead) {
  for (const size_t bytes : {0, 1, 255, 256, 70'000}) {
    ASSERT_TRUE(WriteFrame(near_.get(), ResponseOf(bytes)).ok());
    ASSERT_TRUE(Read().ok());
    EXPECT_EQ(got_.error().size(), bytes);
  }
}

TEST_F(FramingTest, LengthIsBigEndianAndFourBytes) {
  ASSERT_TRUE(WriteFrame(near_.get(), ResponseOf(300)).ok());
  char bytes[4096];
  const ssize_t n = recv(far_.get(), bytes, sizeof(bytes), 0);
  EXPECT_EQ(std::string(bytes, static_cast<size_t>(n)), Frame(ResponseOf(300)));
}

TEST_F(FramingTest, MessagesBehindEachOtherStayApart) {
  SendRaw(Frame(ResponseOf(3)) + Frame(ResponseOf(5)));
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(got_.error().size(), 3u);
  ASSERT_TRUE(Read().ok());
  EXPECT_EQ(got_.error().size(), 5u);
}

TEST_F(FramingTest, BytesMayComeOneByOne) {
  std::thread sender([this] {
    for (const char byte : Frame(ResponseOf(20))) {
      SendRaw(std::string(1, byte));
      std::this_thread::yield();
    }
  });
  EXPECT_TRUE(Read().ok());
  sender.join();
  EXPECT_EQ(got_.error().size(), 20u);
}

TEST_F(FramingTest, LargestMessagePassesThroughASmallBuffer) {
  const int small = 4096;
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  wire::Response largest = ResponseOf(kMaxFrameBytes - 4);  // the field's tag and its length take four bytes
  ASSERT_EQ(largest.ByteSizeLong(), kMaxFrameBytes);
  std::thread sender([&] { EXPECT_TRUE(WriteFrame(near_.get(), largest).ok()); });
  EXPECT_TRUE(Read().ok());
  sender.join();
  EXPECT_EQ(got_.error().size(), largest.error().size());
}

TEST_F(FramingTest, SignalsDoNotDisturb) {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // without SA_RESTART, so that calls return EINTR
  struct sigaction before {};
  ASSERT_EQ(sigaction(SIGUSR1, &action, &before), 0);
  const int small = 4096;
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  std::thread reader([this] { EXPECT_TRUE(Read().ok()); });
  std::thread writer([this] {
    usleep(20'000);
    EXPECT_TRUE(WriteFrame(near_.get(), ResponseOf(500'000)).ok());
  });
  for (int i = 0; i < 50; ++i) {
    pthread_kill(reader.native_handle(), SIGUSR1);
    pthread_kill(writer.native_handle(), SIGUSR1);
    usleep(1'000);
  }
  reader.join();
  writer.join();
  EXPECT_EQ(got_.error().size(), 500'000u);
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_F(FramingTest, PeerThatClosedIsUnavailable) {
  near_.Reset();
  EXPECT_EQ(Read().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FramingTest, WritingToAPeerThatClosedIsUnavailableAndNoSignal) {
  far_.Reset();
  EXPECT_EQ(WriteFrame(near_.get(), ResponseOf(10)).code(), absl::StatusCode::kUnavailable);
}

TEST_F(FramingTest, StreamThatEndsWithinAMessageIsDataLoss) {
  const std::string frame = Frame(ResponseOf(10));
  for (const size_t cut : {size_t{1}, size_t{3}, size_t{4}, size_t{5}, frame.size() - 1}) {
    SetUp();
    SendRaw(frame.substr(0, cut));
    near_.Reset();
    EXPECT_EQ(Read().code(), absl::StatusCode::kDataLoss) << cut;
  }
}

TEST_F(FramingTest, LengthAboveTheLimitIsRefusedWithoutWaitingForIt) {
  SendRaw(std::string("\x00\x10\x00\x01", 4));
  EXPECT_EQ(Read().code(), absl::StatusCode::kInvalidArgument);
  SetUp();
  SendRaw("\xff\xff\xff\xff");
  EXPECT_EQ(Read().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(FramingTest, MessageThatDoesNotParseIsDataLoss) {
  SendRaw(std::string("\x00\x00\x00\x02\xff\xff", 6));
  EXPECT_EQ(Read().code(), absl::StatusCode::kDataLoss);
}

TEST_F(FramingTest, TooLargeAMessageIsNotSentAtAll) {
  EXPECT_EQ(WriteFrame(near_.get(), ResponseOf(kMaxFrameBytes)).code(), absl::StatusCode::kInvalidArgument);
  near_.Reset();
  EXPECT_EQ(Read().code(), absl::StatusCode::kUnavailable);
}

TEST_F(FramingTest, TimeoutsAreDeadlineExceeded) {
  const timeval soon{0, 10'000};
  const int small = 4096;
  ASSERT_EQ(setsockopt(far_.get(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon)), 0);
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  EXPECT_EQ(Read().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(WriteFrame(near_.get(), ResponseOf(500'000)).code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(FramingTest, APeerThatTakesALittleAtATimeDoesNotHoldUs) {
  const timeval soon{0, 50'000};
  const int small = 4096;
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof(soon)), 0);
  ASSERT_EQ(setsockopt(near_.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
  std::thread reader([this] {
    char some[1024];
    while (recv(far_.get(), some, sizeof(some), 0) > 0) {
      usleep(5'000);
    }
  });
  EXPECT_EQ(WriteFrame(near_.get(), ResponseOf(500'000)).code(), absl::StatusCode::kDeadlineExceeded);
  near_.Reset();
  reader.join();
}

}  // namespace
}  // namespace sluice
