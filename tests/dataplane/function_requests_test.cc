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

// The answers that the function is to give next, and the arguments of its last call.
struct Script {
  absl::Status start;
  absl::StatusOr<Page> page = Page();
  std::string cursor;
  bool adopted = false;
};
Script* script = nullptr;

class Scripted final : public NetworkFunction {
 public:
  absl::Status Start(const Settings& /*settings*/, StateMemory state) override {
    script->adopted = state.adopted;
    return script->start;
  }
  absl::StatusOr<Page> Query(const sluice::Query& query) override {
    script->cursor = query.cursor;
    return script->page;
  }
  void Process(LaneContext& /*lane*/, Burst& /*burst*/) override {}
};

}  // namespace

absl::StatusOr<MadeFunction> MakeFunction(absl::string_view name, size_t /*ports*/) {
  return MadeFunction{FindFunction(name), std::make_unique<Scripted>()};
}

namespace {

class ScriptedFunctionTest : public AgentLinkTest {
 protected:
  ScriptedFunctionTest() { script = &script_; }

  // The function's memory comes last.
  absl::Status ConfigureWith(uint64_t state_bytes, bool used = false) {
    std::vector<UniqueFd> fds = Memfds(4);
    EXPECT_EQ(ftruncate(fds.back().get(), static_cast<off_t>(state_bytes)), 0);
    dataplane::Request request = Configure(1);
    request.mutable_configure()->set_function("count");
    request.mutable_configure()->set_state_used(used);
    reply_.Clear();
    return dataplane_.Execute(request, std::move(fds), &reply_);
  }
  static uint64_t StateBytes() {
    const FunctionDescriptor& descriptor = *FindFunction("count");
    return sluice::StateBytes(descriptor, *Settings::Read(descriptor.settings, {}));
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
  dataplane::Reply reply_;
};

TEST_F(ScriptedFunctionTest, StateMemoryOfAnotherSizeIsRefused) {
  for (const uint64_t bytes : {uint64_t{0}, StateBytes() - 1, StateBytes() + 1}) {
    const absl::Status refused = ConfigureWith(bytes);
    EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << bytes;
    EXPECT_NE(refused.message().find(std::to_string(StateBytes())), absl::string_view::npos) << refused;
    EXPECT_TRUE(reply_.state_refused());
    EXPECT_FALSE(dataplane_.hello().configured());
  }
  EXPECT_TRUE(ConfigureWith(StateBytes(), /*used=*/true).ok());
  EXPECT_TRUE(script_.adopted);
}

TEST_F(ScriptedFunctionTest, StateMemoryComesIfTheFunctionHasAny) {
  dataplane::Request request = Configure(1);
  EXPECT_EQ(dataplane_.Execute(request, Memfds(4)).code(), absl::StatusCode::kInvalidArgument) << "reflect has none";
  request.mutable_configure()->set_function("count");
  EXPECT_EQ(dataplane_.Execute(request, Memfds(3)).code(), absl::StatusCode::kInvalidArgument);
}

// The agent gives up the predecessor's sessions only for this.
TEST_F(ScriptedFunctionTest, SaysWhenTheStateMemoryIsTheReason) {
  script_.start = absl::FailedPreconditionError("another table");
  EXPECT_EQ(ConfigureWith(StateBytes(), /*used=*/true), script_.start);
  EXPECT_TRUE(reply_.state_refused());
  EXPECT_EQ(ConfigureWith(StateBytes(), /*used=*/false), script_.start);
  EXPECT_FALSE(reply_.state_refused()) << "zeros are not to blame";
  script_.start = absl::InternalError("no secret");
  EXPECT_EQ(ConfigureWith(StateBytes(), /*used=*/true), script_.start);
  EXPECT_FALSE(reply_.state_refused());
  script_.start = absl::OkStatus();
  dataplane::Request request = Configure(1);
  request.mutable_configure()->set_function("count");
  request.mutable_configure()->set_state_used(true);
  request.mutable_configure()->set_poll(dataplane::POLL_MODE_UNSPECIFIED);
  EXPECT_FALSE(dataplane_.Execute(request, Memfds(4), &reply_).ok());
  EXPECT_FALSE(reply_.state_refused());
}

TEST_F(ScriptedFunctionTest, AnswersInPages) {
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

TEST_F(ScriptedFunctionTest, ACursorIsBoundedInBothDirections) {
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
TEST_F(ScriptedFunctionTest, WhatTheAgentCouldNotReadBecomesAnError) {
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
