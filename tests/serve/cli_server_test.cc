// Requests over the socket, as sluicectl sends them.
#include "control/serve/cli_server.h"

#include <sys/socket.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>
#include <utility>

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
    const UniqueFd client(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const absl::StatusOr<UnixAddress> address = UnixAddress::Of(path_);
    EXPECT_TRUE(address.ok() && connect(client.get(), address->get(), address->size_bytes()) == 0);
    // A request may be larger than the socket's buffer.
    std::thread sends([&] { EXPECT_TRUE(WriteFrame(client.get(), request, kMaxChangeBytes).ok()); });
    server_.ServeOne(served_, configs_);
    sends.join();
    wire::Response response;
    const absl::Status read = ReadFrame(client.get(), response);
    EXPECT_TRUE(read.ok()) << read;
    return response;
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

TEST_F(CliServerTest, AnAnswerThatFitsNoFrameBecomesARefusal) {
  wire::Request request;
  request.mutable_function()->set_command(std::string(kMaxFrameBytes, 'x'));  // the error repeats it
  const wire::Response response = Ask(request);
  EXPECT_EQ(response.result(), wire::RESULT_REFUSED);
  EXPECT_THAT(response.error(), HasSubstr("too large"));
}

}  // namespace
}  // namespace sluice
