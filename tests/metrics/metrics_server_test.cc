// Asks the metrics server over HTTP, on loopback.
#include "control/metrics/metrics_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include <httplib.h>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice {
namespace {

using testing::HasSubstr;

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
  EXPECT_EQ(AnswerOf(httplib::Client("127.0.0.1", port_).Post("/metrics", "", "text/plain")).code, 404);
  EXPECT_EQ(AnswerOf(httplib::Client("127.0.0.1", port_).Delete("/metrics")).code, 404);
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
