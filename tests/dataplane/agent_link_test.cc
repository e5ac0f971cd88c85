#include "dataplane/process/agent_link.h"

#include <utility>
#include <vector>

#include "dataplane/base/steady_time.h"
#include "tests/dataplane/agent_link_fixture.h"
#include "tests/dataplane/flow_memory.h"

namespace sluice {
namespace {

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

  // The agent dies and comes back: Hello brings it the stats segment and the configuration that is in force.
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

TEST_F(AgentLinkTest, EndsWhenToldToWithoutAnAgent) {
  Serve();
  Terminate();
  EXPECT_FALSE(dataplane_.shut_down()) << "the link only returns: main shuts the dataplane down";
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
  const SteadyTime end = SteadyTime::Now() + absl::Seconds(1) + dataplane_.tick_every();  // FlowAger::look_every()
  Listen();
  Serve();
  Accept();
  while (SteadyTime::Now() < end) {
    ASSERT_TRUE(SendMessage(connection_.get(), Configure(2)).ok());
    EXPECT_EQ(Receive().reply().id(), 2U);
  }
  Terminate();
  EXPECT_GE(kernel_.fences, 1) << "a look at the flows waits for a grace period";
}

TEST_F(AgentLinkTest, AnAnswerThatFitsNoMessageBecomesASmallError) {
  ASSERT_TRUE(dataplane_.Execute(Configure(1), Memfds(3)).ok());
  Listen();
  Serve();
  Accept();
  dataplane::Request request;
  request.set_id(2);
  // The error repeats it, and is longer than the request.
  request.mutable_query_function()->set_command(std::string(kMaxMessageBytes - 20, 'x'));
  ASSERT_TRUE(SendMessage(connection_.get(), request).ok());
  const dataplane::Reply reply = Receive().reply();
  EXPECT_EQ(reply.id(), 2U);
  EXPECT_EQ(reply.code(), static_cast<uint32_t>(absl::StatusCode::kResourceExhausted));
  EXPECT_NE(reply.message().find("ask for less"), std::string::npos);
  ASSERT_TRUE(SendMessage(connection_.get(), Configure(3)).ok());
  EXPECT_EQ(Receive().reply().id(), 3U) << "the link is as before";
}

TEST_F(AgentLinkTest, SurvivesGarbage) {
  Listen();
  Serve();
  Accept();
  ASSERT_EQ(send(connection_.get(), "\xff\xff\xff", 3, 0), 3);
  connection_.Reset();
  EXPECT_EQ(Accept().contract_version(), dataplane::CONTRACT_VERSION_CURRENT) << "it connected again";
}

}  // namespace
}  // namespace sluice
