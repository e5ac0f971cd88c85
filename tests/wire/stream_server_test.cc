// Strangers on a real socket. A request is a line; the first byte of a client's abstract address is its peer.
#include "control/wire/stream_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <atomic>
#include <cstddef>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "dataplane/base/unix_address.h"
#include "tests/lib/temp_folder.h"

namespace sluice {
namespace {

constexpr int kPatienceMs = 20'000;
constexpr size_t kLongestLine = 100;

// Answers "ECHO\n" at once, except lines that begin with "later": the test answers these. Peer 'x' is sent away.
class Echo final : public StreamServer::Protocol {
 public:
  StreamServer::Guest Admit(int connection) override {
    sockaddr_un name{};
    socklen_t size = sizeof(name);
    (void)getpeername(connection, reinterpret_cast<sockaddr*>(&name), &size);
    const auto peer = static_cast<uint64_t>(size > offsetof(sockaddr_un, sun_path) + 1 ? name.sun_path[1] : 0);
    return {peer, 0, peer == 'x' ? std::optional<std::string>("not you\n") : std::nullopt};
  }
  StreamServer::Progress Look(const StreamServer::Guest& /*guest*/, absl::string_view bytes) override {
    using State = StreamServer::Progress::State;
    if (bytes.find('\n') != absl::string_view::npos) {
      return {State::kComplete, 0, ""};
    }
    return bytes.size() < kLongestLine ? StreamServer::Progress{State::kMore, kLongestLine, ""}
                                       : StreamServer::Progress{State::kRefused, 0, "too long\n"};
  }
  void Take(uint64_t id, const StreamServer::Guest& /*guest*/, std::string bytes) override {
    if (bytes.substr(0, 5) != "later") {
      server->Answer(id, bytes.substr(0, 3) == "big" ? std::string(8 << 20, 'b') : bytes);
    }
    const std::lock_guard lock(mutex);
    taken.insert(id);
  }
  void Gone(uint64_t id) override {
    const std::lock_guard lock(mutex);
    gone.insert(id);
  }
  std::string Farewell(StreamServer::Reason reason) override {
    return reason == StreamServer::Reason::kSlow   ? "slow\n"
           : reason == StreamServer::Reason::kFull ? "full\n"
                                                   : "no memory\n";
  }

  StreamServer* server = nullptr;
  std::mutex mutex;
  std::set<uint64_t> taken, gone;  // guarded by mutex
};

class StreamServerTest : public testing::Test {
 protected:
  static constexpr StreamServer::Limits kLimits = {.connections = 6,
                                                   .of_one_peer = 3,
                                                   .request_bytes = 6 * kLongestLine,
                                                   .to_ask = absl::Minutes(5),
                                                   .to_take = absl::Minutes(5)};

  void Serve(const StreamServer::Limits& limits = kLimits) {
    UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_ = UnixAddress::Of(folder_.path() + "/socket");
    ASSERT_TRUE(address_.ok());
    ASSERT_EQ(bind(listener.get(), address_->get(), address_->size_bytes()), 0);
    ASSERT_EQ(listen(listener.get(), 100), 0);
    absl::StatusOr<std::unique_ptr<StreamServer>> server = StreamServer::Start(std::move(listener), limits, echo_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    echo_.server = server_.get();
  }

  UniqueFd Connect(char peer = 'a') {
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un name{.sun_family = AF_UNIX, .sun_path = {}};
    const std::string text = std::string(1, peer) + folder_.path() + std::to_string(clients_++);
    std::memcpy(name.sun_path + 1, text.data(), text.size());
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
    EXPECT_EQ(bind(client.get(), reinterpret_cast<const sockaddr*>(&name), size), 0);
    EXPECT_EQ(connect(client.get(), address_->get(), address_->size_bytes()), 0);
    return client;
  }

  // Connects and waits until the server has answered it, so it has also seen all who came before.
  std::string AskAs(char peer) {
    const UniqueFd client = Connect(peer);
    Send(client, "hello\n");
    return Rest(client);
  }

  static void Send(const UniqueFd& client, const std::string& bytes) {
    (void)send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // Returns all bytes until the server hangs up; fails when it does not.
  static std::string Rest(const UniqueFd& client) {
    std::string all;
    while (true) {
      pollfd readable{client.get(), POLLIN, 0};
      if (poll(&readable, 1, kPatienceMs) != 1) {
        ADD_FAILURE() << "the server neither says more nor hangs up after " << all.size() << " bytes";
        return all;
      }
      char bytes[4096];
      const ssize_t n = recv(client.get(), bytes, sizeof(bytes), 0);
      if (n <= 0) {
        return all;
      }
      all.append(bytes, static_cast<size_t>(n));
    }
  }

  static bool IsOpen(const UniqueFd& client) {
    pollfd readable{client.get(), POLLIN | POLLRDHUP, 0};
    return poll(&readable, 1, 0) == 0;
  }

  template <typename Condition>
  void WaitUntil(Condition condition) {
    for (int ms = 0; ms < kPatienceMs; ++ms) {
      {
        const std::lock_guard lock(echo_.mutex);
        if (condition()) {
          return;
        }
      }
      usleep(1000);
    }
    FAIL() << "it did not happen";
  }

  static size_t Descriptors() {
    const std::filesystem::directory_iterator fds("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(fds), end(fds)));
  }

  TempFolder folder_;
  Echo echo_;
  absl::StatusOr<UnixAddress> address_;
  int clients_ = 0;
  std::unique_ptr<StreamServer> server_;
};

TEST_F(StreamServerTest, AnswersOneRequestAndHangsUp) {
  Serve();
  const UniqueFd client = Connect();
  for (const char byte : std::string("one by one\nand more")) {
    Send(client, {byte});
  }
  EXPECT_EQ(Rest(client).substr(0, 11), "one by one\n");
}

TEST_F(StreamServerTest, AnAnswerMayComeLaterAndFromAnotherThread) {
  Serve();
  const UniqueFd client = Connect();
  Send(client, "later\n");
  WaitUntil([&] { return !echo_.taken.empty(); });
  server_->Answer(*echo_.taken.begin(), "now\n");
  EXPECT_EQ(Rest(client), "now\n");
  server_->Answer(12345, "nobody waits for this\n");
  EXPECT_EQ(AskAs('a'), "hello\n");
}

TEST_F(StreamServerTest, WhoMayNotAskIsNotRead) {
  Serve();
  const UniqueFd client = Connect('x');
  Send(client, "hello\n");
  EXPECT_EQ(Rest(client), "not you\n");
  EXPECT_TRUE(echo_.taken.empty());
}

TEST_F(StreamServerTest, SilenceAndDripsEnd) {
  StreamServer::Limits limits = kLimits;
  limits.to_ask = absl::Milliseconds(100);
  Serve(limits);
  const UniqueFd silent = Connect();
  const UniqueFd slow = Connect();
  std::atomic<bool> done = false;
  std::thread drips([&] {
    for (int i = 0; i < 80 && !done; ++i) {
      Send(slow, "x");
      usleep(10'000);
    }
  });
  EXPECT_EQ(Rest(silent), "slow\n");
  EXPECT_EQ(Rest(slow), "slow\n");
  done = true;
  drips.join();
  EXPECT_TRUE(echo_.taken.empty());
}

TEST_F(StreamServerTest, TooLongARequestIsRefused) {
  Serve();
  const UniqueFd client = Connect();
  Send(client, std::string(10 * kLongestLine, 'x'));
  EXPECT_EQ(Rest(client), "too long\n");
}

TEST_F(StreamServerTest, ANewcomerTakesThePlaceOfItsPeersOldestSilentOne) {
  Serve();
  const UniqueFd other = Connect('b');
  std::vector<UniqueFd> silent;
  for (size_t i = 0; i < 50; ++i) {
    silent.push_back(Connect('a'));
  }
  EXPECT_EQ(AskAs('a'), "hello\n");
  for (size_t i = 0; i < 48; ++i) {
    EXPECT_EQ(Rest(silent[i]), "full\n") << i;
  }
  EXPECT_TRUE(IsOpen(silent[48]));
  EXPECT_TRUE(IsOpen(silent[49]));
  EXPECT_TRUE(IsOpen(other));
}

TEST_F(StreamServerTest, AFullServerTakesThePlaceFromThePeerThatHasTheMost) {
  Serve();
  const UniqueFd one = Connect('a');
  std::vector<UniqueFd> many;
  for (int i = 0; i < 3; ++i) {
    many.push_back(Connect('b'));
  }
  const UniqueFd two[] = {Connect('c'), Connect('c')};
  EXPECT_EQ(AskAs('d'), "hello\n");
  EXPECT_EQ(Rest(many[0]), "full\n");
  EXPECT_TRUE(IsOpen(one));
  EXPECT_TRUE(IsOpen(many[1]));
  EXPECT_TRUE(IsOpen(two[0]));
}

TEST_F(StreamServerTest, RequestsThatWaitKeepTheirPlaces) {
  Serve();
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(Connect());
    Send(waiting.back(), "later\n");
  }
  WaitUntil([&] { return echo_.taken.size() == 3; });
  EXPECT_EQ(Rest(Connect()), "full\n");
  EXPECT_EQ(AskAs('b'), "hello\n");
  for (const uint64_t id : echo_.taken) {
    server_->Answer(id, "now\n");
  }
  for (const UniqueFd& client : waiting) {
    EXPECT_EQ(Rest(client), "now\n");
  }
}

TEST_F(StreamServerTest, AHangUpBeforeTheAnswerIsToldAndOneWithinTheRequestIsNot) {
  Serve();
  {
    const UniqueFd half = Connect();
    Send(half, "half of a li");
  }
  UniqueFd client = Connect();
  Send(client, "later\n");
  WaitUntil([&] { return !echo_.taken.empty(); });
  client.Reset();
  WaitUntil([&] { return echo_.gone == echo_.taken; });
  EXPECT_EQ(echo_.gone.size(), 1u);
}

TEST_F(StreamServerTest, WhoDoesNotTakeItsAnswerLosesIt) {
  StreamServer::Limits limits = kLimits;
  limits.to_take = absl::Milliseconds(50);
  Serve(limits);
  const UniqueFd client = Connect();
  Send(client, "big\n");
  pollfd gone{client.get(), POLLRDHUP, 0};
  EXPECT_EQ(poll(&gone, 1, kPatienceMs), 1);
  EXPECT_LT(Rest(client).size(), size_t{8} << 20);
}

TEST_F(StreamServerTest, RequestsShareTheirMemory) {
  StreamServer::Limits limits = kLimits;
  limits.request_bytes = 2 * kLongestLine;
  Serve(limits);
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  EXPECT_EQ(Rest(Connect('b')), "no memory\n");
  Send(first, "one\n");
  EXPECT_EQ(Rest(first), "one\n");
  EXPECT_EQ(AskAs('b'), "hello\n");
}

TEST_F(StreamServerTest, DescriptorsThatComeAlongAreNotKept) {
  Serve();
  const UniqueFd client = Connect();
  EXPECT_EQ(AskAs('a'), "hello\n");  // this thread has its memory and descriptors now
  const size_t before = Descriptors();
  alignas(cmsghdr) char control[CMSG_SPACE(10 * sizeof(int))] = {};
  char byte = 'x';
  iovec bytes{&byte, 1};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(10 * sizeof(int));
  const std::vector<int> ten(10, client.get());
  std::memcpy(CMSG_DATA(rights), ten.data(), 10 * sizeof(int));
  const ssize_t sent = sendmsg(client.get(), &message, MSG_NOSIGNAL);
  EXPECT_TRUE(sent == 1 || errno == EPERM) << strerror(errno);  // EPERM: SO_PASSRIGHTS, Linux 6.16
  EXPECT_EQ(AskAs('a'), "hello\n");
  EXPECT_EQ(Descriptors(), before);
}

TEST_F(StreamServerTest, EndsWithClientsOfEveryKind) {
  Serve();
  const UniqueFd silent = Connect('a');
  const UniqueFd half = Connect('b');
  Send(half, "half");
  const UniqueFd waits = Connect('c');
  Send(waits, "later\n");
  const UniqueFd deaf = Connect('d');
  Send(deaf, "big\n");
  WaitUntil([&] { return echo_.taken.size() == 2; });
  server_.reset();
  EXPECT_EQ(Rest(silent) + Rest(half) + Rest(waits), "");
}

TEST(StreamServer, AShareOfFewDescriptorsIsSmall) {
  EXPECT_GE(StreamServer::ShareOfDescriptors(64), 4u);
  EXPECT_LE(StreamServer::ShareOfDescriptors(64), 64u);
  EXPECT_EQ(StreamServer::ShareOfDescriptors(4), 4u);
}

}  // namespace
}  // namespace sluice
