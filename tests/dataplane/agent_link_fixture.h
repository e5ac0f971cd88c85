// A dataplane that serves a listening agent, over a real socket.
#ifndef SLUICE_TESTS_DATAPLANE_AGENT_LINK_FIXTURE_H_
#define SLUICE_TESTS_DATAPLANE_AGENT_LINK_FIXTURE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "dataplane/contract/fd_channel.h"
#include "dataplane/process/agent_link.h"
#include "tests/dataplane/fake_kernel.h"
#include "tests/dataplane/stats_memory.h"

namespace sluice {

// Plays the agent, which listens; the dataplane serves it on a second thread.
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
    fds.push_back(MakeStatsMemory());
    while (fds.size() < count) {
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

}  // namespace sluice

#endif  // SLUICE_TESTS_DATAPLANE_AGENT_LINK_FIXTURE_H_
