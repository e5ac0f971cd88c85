// Asks the metrics server over HTTP, on loopback.
#include "control/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include <httplib.h>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

// Holds a free TCP port on loopback, so that no other socket can bind to it.
class HeldPort {
 public:
  HeldPort() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(socket_.get(), 1), 0);
    EXPECT_EQ(getsockname(socket_.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  uint16_t port() const { return port_; }

 private:
  UniqueFd socket_;
  uint16_t port_ = 0;
};

struct Answer {
  int code = 0;
  std::string body;
};

// Returns code and body of the answer; code 0 if there was none.
Answer AnswerOf(const httplib::Result& result) {
  return result ? Answer{result->status, result->body} : Answer{};
}

Answer Get(uint16_t port, const std::string& path, const char* host = "127.0.0.1") {
  return AnswerOf(httplib::Client(host, port).Get(path.c_str()));
}

wire::StatusResponse Status(const char* state) {
  wire::StatusResponse status;
  status.mutable_dataplane()->set_state(state);
  return status;
}

// A client that says anything.
class Raw {
 public:
  explicit Raw(uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    EXPECT_EQ(connect(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  Raw& Say(const std::string& bytes) {
    (void)send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return *this;
  }
  // Says more until the kernel has no room for it, and returns errno then.
  int SayUntilItIsFull() {
    const std::string bytes(size_t{64} << 10, '0');
    while (send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) > 0) {
    }
    return errno;
  }
  // Returns all bytes until the server hangs up.
  std::string Rest() {
    constexpr int kPatienceMs = 20'000;
    std::string all;
    pollfd readable{socket_.get(), POLLIN, 0};
    char bytes[4096];
    while (poll(&readable, 1, kPatienceMs) == 1) {
      const ssize_t n = recv(socket_.get(), bytes, sizeof(bytes), 0);
      if (n <= 0) {
        return all;
      }
      all.append(bytes, static_cast<size_t>(n));
    }
    ADD_FAILURE() << "the server does not hang up";
    return all;
  }

 private:
  UniqueFd socket_;
};

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    port_ = HeldPort().port();  // the temporary object has freed the port again
    absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Listen("127.0.0.1", port_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  uint16_t port_ = 0;
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, NothingIsMadeUpBeforeTheFirstStatus) {
  EXPECT_EQ(Get(port_, "/metrics").code, 503);
  EXPECT_EQ(Get(port_, "/readyz").code, 503);
  EXPECT_EQ(Get(port_, "/healthz").code, 200);
}

TEST_F(MetricsServerTest, ServesTheLastPublishedStatus) {
  server_->Publish(Status("running"));
  Answer answer = Get(port_, "/metrics");
  EXPECT_EQ(answer.code, 200);
  EXPECT_THAT(answer.body, HasSubstr("sluice_dataplane_up 1\n"));
  EXPECT_EQ(Get(port_, "/readyz").code, 200);

  server_->Publish(Status("down"));
  EXPECT_THAT(Get(port_, "/metrics").body, HasSubstr("sluice_dataplane_up 0\n"));
  answer = Get(port_, "/readyz");
  EXPECT_EQ(answer.code, 503);
  EXPECT_EQ(answer.body, "the dataplane is down\n");
  EXPECT_EQ(Get(port_, "/healthz").code, 200);
}

TEST_F(MetricsServerTest, OtherPathsAndMethodsAreRefused) {
  server_->Publish(Status("running"));
  EXPECT_EQ(Get(port_, "/").code, 404);
  EXPECT_EQ(Get(port_, "/etc/passwd").code, 404);
  EXPECT_EQ(AnswerOf(httplib::Client("127.0.0.1", port_).Post("/metrics", std::string(100, 'x'), "text/plain")).code,
            405);
  EXPECT_EQ(AnswerOf(httplib::Client("127.0.0.1", port_).Delete("/metrics")).code, 405);
}

TEST_F(MetricsServerTest, ABodyWithoutEndIsNotReadAndDoesNotCostTheAnswer) {
  Raw client(port_);
  client.Say("POST /metrics HTTP/1.1\r\nContent-Length: 300000000\r\n\r\n");
  EXPECT_EQ(client.SayUntilItIsFull(), EAGAIN);
  EXPECT_THAT(client.Rest(), HasSubstr("HTTP/1.1 405"));
}

TEST_F(MetricsServerTest, HeadersDoNotChangeTheAnswer) {
  server_->Publish(Status("running"));
  const std::string plain = Raw(port_).Say("GET /healthz HTTP/1.1\r\n\r\n").Rest();
  EXPECT_THAT(plain, HasSubstr("200 OK"));
  EXPECT_THAT(plain, HasSubstr("Connection: close"));
  EXPECT_EQ(Raw(port_).Say("GET /healthz HTTP/1.1\r\nRange: bytes=0-,0-,0-\r\nAccept-Encoding: gzip\r\n\r\n").Rest(),
            plain);
  EXPECT_EQ(Raw(port_).Say("GET /healthz HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n").Rest(), plain);
}

TEST_F(MetricsServerTest, AHeadAloneHasNoBody) {
  server_->Publish(Status("running"));
  const std::string answer = Raw(port_).Say("HEAD /metrics HTTP/1.1\r\n\r\n").Rest();
  EXPECT_THAT(answer, HasSubstr("200 OK"));
  EXPECT_THAT(answer, Not(HasSubstr("sluice_")));
}

TEST_F(MetricsServerTest, OtherThingsThanRequestsAreRefusedAtOnce) {
  const std::string client_hello("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  EXPECT_THAT(Raw(port_).Say(client_hello).Rest(), HasSubstr("400 Bad Request"));
  EXPECT_THAT(Raw(port_).Say("GET\r\n\r\n").Rest(), HasSubstr("HTTP/1.1 400"));
  EXPECT_THAT(Raw(port_).Say("GET /" + std::string(8192, 'x')).Rest(), HasSubstr("414 URI"));
  EXPECT_THAT(Raw(port_).Say("GET / HTTP/1.1\r\nX: " + std::string(8192, 'x')).Rest(), HasSubstr("431 Request"));
  EXPECT_THAT(Raw(port_).Say("POST /metrics HTTP/1.1\r\nContent-Length: 9000000000\r\n\r\n").Rest(),
              HasSubstr("HTTP/1.1 405"));
  EXPECT_THAT(Raw(port_).Say("POST /metrics HTTP/1.1\r\nExpect: 100-continue\r\n\r\n").Rest(),
              testing::StartsWith("HTTP/1.1 405"));
}

TEST_F(MetricsServerTest, SilentClientsDoNotKeepOthersOut) {
  server_->Publish(Status("running"));
  std::vector<std::unique_ptr<Raw>> silent;
  for (int i = 0; i < 200; ++i) {
    silent.push_back(std::make_unique<Raw>(port_));
    silent.back()->Say(i % 2 == 0 ? "" : "GET /half");
  }
  EXPECT_EQ(Get(port_, "/readyz").code, 200);
  EXPECT_THAT(silent[1]->Rest(), HasSubstr("503 Service Unavailable"));
}

TEST(MetricsServer, AddressThatIsTakenIsAnErrorThatNamesIt) {
  const HeldPort held;
  const absl::Status status = MetricsServer::Listen("127.0.0.1", held.port()).status();
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("127.0.0.1 port ", held.port())));
}

TEST_F(MetricsServerTest, TwoDoNotShareAnAddress) {
  EXPECT_TRUE(absl::IsUnavailable(MetricsServer::Listen("127.0.0.1", port_).status()));
}

TEST(MetricsServer, AddressOfAnotherMachineIsAnError) {
  EXPECT_TRUE(absl::IsUnavailable(MetricsServer::Listen("192.0.2.1", 9477).status()));
}

TEST(MetricsServer, ListensOnIpv6) {
  const uint16_t port = HeldPort().port();
  const absl::StatusOr<std::unique_ptr<MetricsServer>> server = MetricsServer::Listen("::1", port);
  if (!server.ok()) {
    GTEST_SKIP() << "this machine has no ::1: " << server.status();
  }
  EXPECT_EQ(Get(port, "/healthz", "::1").code, 200);
}

TEST(Probes, SilenceOfTheLoopIsNoticed) {
  EXPECT_TRUE(Health(absl::Seconds(299)).good);
  EXPECT_FALSE(Health(absl::Seconds(301)).good);
  EXPECT_TRUE(Readiness(Status("running"), absl::Seconds(1)).good);
  EXPECT_FALSE(Readiness(Status("running"), absl::Seconds(301)).good);
  EXPECT_FALSE(Readiness(Status("down"), absl::Seconds(1)).good);
  wire::StatusResponse degraded = Status("running");
  degraded.add_degraded("wan: eth0 is down");
  EXPECT_FALSE(Readiness(degraded, absl::Seconds(1)).good);
  EXPECT_EQ(Readiness(degraded, absl::Seconds(1)).text, "degraded: wan: eth0 is down");
}

}  // namespace
}  // namespace sluice
