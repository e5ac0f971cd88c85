// Requests about a network function, to one that does as the test says. It has the descriptor of "count", so settings,
// state memory and a command.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "dataplane/functions/catalog.h"
#include "dataplane/functions/function_factory.h"
#include "dataplane/process/dataplane.h"
#include "tests/dataplane/agent_link_fixture.h"

namespace sluice {
namespace {

// What the function does next, and what it was told.
struct Script {
  absl::StatusOr<Page> page = Page();
  std::string cursor;
};
Script* script = nullptr;

class Scripted final : public NetworkFunction {
 public:
  absl::StatusOr<Page> Query(const sluice::Query& query) override {
    script->cursor = query.cursor;
    return script->page;
  }
  void Process(LaneContext& /*lane*/, Burst& /*burst*/) override {}
};

}  // namespace

absl::StatusOr<MadeFunction> MakeFunction(absl::string_view /*name*/, size_t /*ports*/) {
  return MadeFunction{FindFunction("count"), std::make_unique<Scripted>()};
}

namespace {

class FunctionRequestsTest : public AgentLinkTest {
 protected:
  FunctionRequestsTest() { script = &script_; }

  // The function's memory comes last.
  absl::Status ConfigureWith(uint64_t state_bytes) {
    std::vector<UniqueFd> fds = Memfds(4);
    EXPECT_EQ(ftruncate(fds.back().get(), static_cast<off_t>(state_bytes)), 0);
    return dataplane_.Execute(Configure(1), std::move(fds));
  }
  static uint64_t StateBytes() {
    const FunctionDescriptor& descriptor = *FindFunction("count");
    return descriptor.state_bytes(*Settings::Read(descriptor.settings, {}));
  }
  static dataplane::Request Query(uint64_t id, const std::string& cursor = "") {
    dataplane::Request request;
    request.set_id(id);
    request.mutable_query_function()->set_command("sources");
    request.mutable_query_function()->set_cursor(cursor);
    return request;
  }
  dataplane::Reply Ask(const dataplane::Request& request) {
    EXPECT_TRUE(SendMessage(connection_.get(), request).ok());
    return Receive().reply();
  }

  Script script_;
};

TEST_F(FunctionRequestsTest, AnswersInPages) {
  ASSERT_TRUE(ConfigureWith(StateBytes()).ok());
  Listen();
  Serve();
  Accept();
  script_.page = Page{.rows = {{std::string("10.0.0.1"), uint64_t{1}, uint64_t{60}, 0.5}}, .next_cursor = "17"};
  const dataplane::Reply reply = Ask(Query(2, "16"));
  EXPECT_EQ(reply.code(), 0U) << reply.message();
  EXPECT_EQ(reply.page().rows_size(), 1);
  EXPECT_EQ(reply.page().next_cursor(), "17");
  EXPECT_EQ(script_.cursor, "16");
}

TEST_F(FunctionRequestsTest, ACursorIsBoundedInBothDirections) {
  ASSERT_TRUE(ConfigureWith(StateBytes()).ok());
  script_.cursor = "untouched";
  EXPECT_EQ(dataplane_.Execute(Query(2, std::string(kMaxCursorBytes + 1, 'c')), {}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(script_.cursor, "untouched") << "the function does not see it";
  EXPECT_TRUE(dataplane_.Execute(Query(2, std::string(kMaxCursorBytes, 'c')), {}).ok());
  script_.page = Page{.rows = {}, .next_cursor = std::string(kMaxCursorBytes + 1, 'c')};
  EXPECT_EQ(dataplane_.Execute(Query(2), {}).code(), absl::StatusCode::kInternal);
}

// The agent would end a dataplane whose message it cannot parse.
TEST_F(FunctionRequestsTest, WhatTheAgentCouldNotReadBecomesAnError) {
  ASSERT_TRUE(ConfigureWith(StateBytes()).ok());
  Listen();
  Serve();
  Accept();
  const std::string no_text = "\xff\xfe";
  const std::vector<std::pair<absl::StatusOr<Page>, absl::StatusCode>> answers = {
      {Page{.rows = {{no_text, uint64_t{1}, uint64_t{60}, 0.5}}}, absl::StatusCode::kInternal},
      {Page{.rows = {}, .next_cursor = no_text}, absl::StatusCode::kInternal},
      {absl::NotFoundError(no_text), absl::StatusCode::kInternal},
      {absl::NotFoundError(std::string(kMaxMessageBytes, 'x')), absl::StatusCode::kResourceExhausted}};
  uint64_t id = 2;
  for (const auto& [answer, code] : answers) {
    script_.page = answer;
    const dataplane::Reply reply = Ask(Query(++id));
    EXPECT_EQ(reply.id(), id);
    EXPECT_EQ(reply.code(), static_cast<uint32_t>(code)) << id;
    EXPECT_FALSE(reply.has_page());
  }
}

}  // namespace
}  // namespace sluice
