// Requests over the socket, as sluicectl sends them.
#include "control/serve/cli_server.h"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control/serve/rights.h"
#include "control/wire/framing.h"
#include "dataplane/base/unix_address.h"
#include "tests/lib/temp_folder.h"
#include "tests/serve/serve_fixture.h"

namespace sluice {
namespace {

using ::testing::HasSubstr;

// Nothing of a configuration is asked for here.
class NoActions final : public ConfigActions {
 public:
  Config Running() const override { return {}; }
  bool dataplane_down() const override { return false; }
  absl::Status Check(ConfigStep /*step*/, const Config& /*wanted*/) override { return absl::OkStatus(); }
  void Settle() override {}
  absl::Status Do(ConfigStep /*step*/, const Config& /*wanted*/) override { return absl::OkStatus(); }
};

class CliServerTest : public ServeTest {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "only root is sure to have the rights";
    }
  }
  wire::Response Ask(const wire::Request& request) {
    const UniqueFd client = Connect();
    // A request may be larger than the socket's buffer.
    std::thread sends([&] { EXPECT_TRUE(WriteFrame(client.get(), request, kMaxChangeBytes).ok()); });
    WaitForRequest();
    server_.ServeOne(served_, configs_);
    sends.join();
    wire::Response response;
    const absl::Status read = ReadFrame(client.get(), response);
    EXPECT_TRUE(read.ok()) << read;
    return response;
  }

  void WaitForRequest() {
    constexpr int kPatienceMs = 20'000;
    pollfd ready{server_.fd(), POLLIN, 0};
    EXPECT_EQ(poll(&ready, 1, kPatienceMs), 1);
  }

  UniqueFd Connect() {
    UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path_);
    EXPECT_TRUE(address.ok() && connect(client.get(), address->get(), address->size_bytes()) == 0);
    return client;
  }

  TempFolder folder_;
  const std::string path_ = folder_.path() + "/agent.sock";
  NoActions actions_;
  StateDir state_dir_ = *StateDir::Open(folder_.path() + "/state");
  ConfigKeeper configs_{actions_, state_dir_, {}, folder_.path() + "/sluice.toml"};
  CliServer server_ = *CliServer::Listen(path_);
};

TEST_F(CliServerTest, Answers) {
  wire::Request request;
  request.mutable_rules();
  EXPECT_TRUE(Ask(request).has_rules());
}

TEST_F(CliServerTest, AUsersNumberIsAHoldUntilAutoscaleMayGoOn) {
  Start(2);
  wire::Request set;
  set.mutable_set_queues()->set_count(3);
  set.mutable_set_queues()->set_dry_run(true);
  EXPECT_EQ(Ask(set).resize().note(), "");
  EXPECT_EQ(autoscaler_.mode(), Autoscaler::Mode::kAuto) << "a dry run changes nothing";
  set.mutable_set_queues()->set_dry_run(false);
  set.mutable_set_queues()->set_count(99);
  EXPECT_EQ(Ask(set).result(), wire::RESULT_REFUSED);
  EXPECT_EQ(autoscaler_.mode(), Autoscaler::Mode::kAuto);
  set.mutable_set_queues()->set_count(3);
  EXPECT_THAT(Ask(set).resize().note(), HasSubstr("held at 3 until `sluicectl queues auto`"));
  wire::Request status;
  status.mutable_status();
  EXPECT_EQ(Ask(status).status().autoscale().mode(), "hold");
  wire::Request go_on;
  go_on.mutable_autoscale();
  EXPECT_EQ(Ask(go_on).autoscale().mode(), "auto");
  go_on.mutable_autoscale()->set_hold(true);
  EXPECT_EQ(Ask(go_on).autoscale().mode(), "hold");
  EXPECT_EQ(Ask(go_on).autoscale().pairs(), 3U);
  autoscaler_.SetWish({});
  EXPECT_THAT(Ask(go_on).error(), HasSubstr("queue_pairs is a number"));
  EXPECT_EQ(Ask(set).resize().note(), "");
}

TEST_F(CliServerTest, AnAnswerThatFitsNoFrameBecomesARefusal) {
  wire::Request request;
  request.mutable_function()->set_command(std::string(kMaxFrameBytes, 'x'));  // the error repeats it
  const wire::Response response = Ask(request);
  EXPECT_EQ(response.result(), wire::RESULT_REFUSED);
  EXPECT_THAT(response.error(), HasSubstr("too large"));
}

TEST_F(CliServerTest, SilentClientsNeitherReachTheLoopNorKeepOthersOut) {
  std::vector<UniqueFd> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(Connect());
  }
  wire::Request request;
  request.mutable_rules();
  EXPECT_TRUE(Ask(request).has_rules());
  server_.ServeOne(served_, configs_);  // returns at once
  wire::Response farewell;
  ASSERT_TRUE(ReadFrame(silent[0].get(), farewell).ok());
  EXPECT_THAT(farewell.error(), HasSubstr("too many connections"));
}

TEST_F(CliServerTest, ALengthAboveTheLimitIsRefusedAtOnce) {
  const UniqueFd client = Connect();
  ASSERT_EQ(send(client.get(), "\xff\xff\xff\xff", 4, 0), 4);
  wire::Response response;
  ASSERT_TRUE(ReadFrame(client.get(), response).ok());
  EXPECT_THAT(response.error(), HasSubstr("a request of 4294967295 bytes"));
}

TEST_F(CliServerTest, BytesThatAreNoRequestAreRefused) {
  const UniqueFd client = Connect();
  ASSERT_EQ(send(client.get(), "\0\0\0\2\xff\xff", 6, 0), 6);
  WaitForRequest();
  server_.ServeOne(served_, configs_);
  wire::Response response;
  ASSERT_TRUE(ReadFrame(client.get(), response).ok());
  EXPECT_THAT(response.error(), HasSubstr("does not parse"));
}

TEST_F(CliServerTest, ARequestWhoseClientHangsUpIsNotAnswered) {
  wire::Request request;
  request.mutable_rules();
  UniqueFd client = Connect();
  ASSERT_TRUE(WriteFrame(client.get(), request).ok());
  WaitForRequest();
  client.Reset();
  server_.ServeOne(served_, configs_);
  EXPECT_TRUE(Ask(request).has_rules());
}

TEST(Rights, AreOfRootAndOfTwoGroups) {
  EXPECT_EQ(RightsOf({.pid = 1, .uid = 0, .gid = 0}), Rights::kChange);
  EXPECT_EQ(RightsOf({.pid = 1, .uid = 4'000'000, .gid = 4'000'000}), Rights::kNone);
  EXPECT_TRUE(CheckRights(Rights::kChange, /*changes=*/true).ok());
  EXPECT_TRUE(CheckRights(Rights::kRead, /*changes=*/false).ok());
  EXPECT_THAT(std::string(CheckRights(Rights::kRead, /*changes=*/true).message()), HasSubstr("sluice-admin"));
  EXPECT_TRUE(absl::IsPermissionDenied(CheckRights(Rights::kNone, /*changes=*/false)));
}

}  // namespace
}  // namespace sluice
