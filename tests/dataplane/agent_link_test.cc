#include "dataplane/process/agent_link.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>
#include <string>
#include <thread>

#include "absl/time/clock.h"
#include "dataplane/contract/fd_channel.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

// A listening agent, and a dataplane that serves it on a thread of its own.
class AgentLinkTest : public ::testing::Test {
 protected:
  AgentLinkTest() : termination_(eventfd(0, EFD_CLOEXEC)) {
    std::string folder = (std::filesystem::temp_directory_path() / "link-XXXXXX").string();
    folder_ = mkdtemp(folder.data());
    path_ = folder_ + "/dataplane.sock";
  }
  ~AgentLinkTest() override {
    Terminate();
    std::filesystem::remove_all(folder_);
  }

  void Serve() {
    link_ = std::thread([this] { AgentLink(dataplane_, path_, termination_.get()).Serve(); });
  }
  void Terminate() {
    const uint64_t one = 1;
    (void)!write(termination_.get(), &one, sizeof(one));
    if (link_.joinable()) {
      link_.join();
    }
  }
  void Listen() {
    listener_ = UniqueFd(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path_.data(), path_.size());
    unlink(path_.c_str());
    ASSERT_EQ(bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ASSERT_EQ(listen(listener_.get(), 1), 0);
  }
  dataplane::Report Receive() {
    dataplane::Report report;
    pollfd readable{connection_.get(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 5000), 1);
    auto fds = ReceiveMessage(connection_.get(), report);
    EXPECT_TRUE(fds.ok()) << fds.status();
    fds_ = fds.ok() ? *std::move(fds) : std::vector<UniqueFd>();
    return report;
  }
  dataplane::Hello Accept() {
    pollfd readable{listener_.get(), POLLIN, 0};
    EXPECT_EQ(poll(&readable, 1, 5000), 1);
    connection_ = UniqueFd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    return Receive().hello();
  }
  // Memory for the counters, and as many descriptors as Configure wants.
  static std::vector<UniqueFd> Memfds(size_t count) {
    std::vector<UniqueFd> fds;
    for (size_t i = 0; i < count; ++i) {
      fds.emplace_back(memfd_create("memory", MFD_CLOEXEC));
      EXPECT_EQ(ftruncate(fds.back().get(), sizeof(StatsSegment)), 0);
    }
    return fds;
  }
  dataplane::Request Configure(uint64_t id) {
    dataplane::Request request;
    request.set_id(id);
    request.mutable_configure()->set_function("reflect");
    request.mutable_configure()->add_ports()->set_name("wan");
    request.mutable_configure()->set_poll(dataplane::POLL_MODE_INTERRUPT);
    return request;
  }

  FakeKernel kernel_;
  Dataplane dataplane_{kernel_};
  UniqueFd termination_;
  std::string folder_;
  std::string path_;
  UniqueFd listener_;
  UniqueFd connection_;
  std::vector<UniqueFd> fds_;
  std::thread link_;
};

TEST_F(AgentLinkTest, TriesUntilTheAgentIsThereAndAnswersInOrder) {
  Serve();
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  Listen();
  const dataplane::Hello hello = Accept();
  EXPECT_EQ(hello.contract_version(), dataplane::CONTRACT_VERSION_CURRENT);
  EXPECT_FALSE(hello.configured());
  EXPECT_TRUE(fds_.empty());

  const std::vector<UniqueFd> memory = Memfds(3);
  const std::vector<int> fds = {memory[0].get(), memory[1].get(), memory[2].get()};
  ASSERT_TRUE(SendMessage(connection_.get(), Configure(7), fds).ok());
  ASSERT_TRUE(SendMessage(connection_.get(), Configure(8), fds).ok());
  const dataplane::Reply first = Receive().reply();
  EXPECT_EQ(first.id(), 7U);
  EXPECT_EQ(first.code(), 0U) << first.message();
  const dataplane::Reply second = Receive().reply();
  EXPECT_EQ(second.id(), 8U);
  EXPECT_EQ(second.code(), static_cast<uint32_t>(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(second.message().empty());

  // The agent dies and comes back: it gets the segment, and is told what stands.
  connection_.Reset();
  const dataplane::Hello again = Accept();
  EXPECT_TRUE(again.configured());
  EXPECT_EQ(again.configuration().function(), "reflect");
  EXPECT_EQ(fds_.size(), 1U);
}

TEST_F(AgentLinkTest, EndsWhenShutDown) {
  Listen();
  Serve();
  Accept();
  dataplane::Request request;
  request.set_id(1);
  request.mutable_shutdown()->set_drain_ms(10);
  ASSERT_TRUE(SendMessage(connection_.get(), request).ok());
  EXPECT_EQ(Receive().reply().code(), 0U);
  link_.join();
  EXPECT_TRUE(dataplane_.shut_down());
}

TEST_F(AgentLinkTest, EndsWhenToldToWithOrWithoutAnAgent) {
  Serve();
  Terminate();
  EXPECT_FALSE(dataplane_.shut_down()) << "that is for main to do";
}

TEST_F(AgentLinkTest, FlowsAgeWhileRequestsComeWithoutAPause) {
  dataplane::Request request = Configure(1);
  ASSERT_TRUE(dataplane_.Execute(request, Memfds(3)).ok());
  const FlowMemory memory(16);
  request.mutable_offload_flows()->set_epoch(1);
  request.mutable_offload_flows()->add_buckets(memory.buckets);
  std::vector<UniqueFd> tables;
  for (const UniqueFd* fd : {&memory.flows_fd, &memory.details_fd, &memory.credit_fd}) {
    tables.emplace_back(fcntl(fd->get(), F_DUPFD_CLOEXEC, 0));
  }
  ASSERT_TRUE(dataplane_.Execute(request, std::move(tables)).ok());
  const absl::Time end = absl::Now() + dataplane_.tick_every() + absl::Milliseconds(300);
  Listen();
  Serve();
  Accept();
  while (absl::Now() < end) {
    ASSERT_TRUE(SendMessage(connection_.get(), Configure(2)).ok());
    EXPECT_EQ(Receive().reply().id(), 2U);
  }
  Terminate();
  EXPECT_GE(kernel_.fences, 1) << "a look at the flows waits for a grace period";
}

TEST_F(AgentLinkTest, StandsGarbage) {
  Listen();
  Serve();
  Accept();
  ASSERT_EQ(send(connection_.get(), "\xff\xff\xff", 3, 0), 3);
  connection_.Reset();
  EXPECT_EQ(Accept().contract_version(), dataplane::CONTRACT_VERSION_CURRENT) << "it connected again";
}

}  // namespace
}  // namespace sluice
