#include "control/serve/function_requests.h"

#include <string>

#include "tests/serve/serve_fixture.h"

namespace sluice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class FunctionRequestsTest : public ServeTest {
 protected:
  FunctionRequestsTest() : ServeTest("count") { request_.set_command("sources"); }
  // Returns the error of a request that never reaches the dataplane.
  absl::Status Refused() {
    absl::Status s = AnswerFunction(request_, served_).status();
    EXPECT_THAT(Logged("query"), IsEmpty());
    return s;
  }

  wire::FunctionRequest request_;
};

TEST_F(FunctionRequestsTest, AnswersWithTheCommandsColumns) {
  connection_.page.add_rows()->add_values()->set_text("10.0.0.1");
  connection_.page.set_next_cursor("17");
  request_.set_cursor(std::string(kMaxCursorBytes, 'c'));
  const absl::StatusOr<wire::FunctionResponse> answer = AnswerFunction(request_, served_);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->function(), "count");
  EXPECT_EQ(answer->columns_size(), 4);
  EXPECT_EQ(answer->columns(0).name(), "source");
  ASSERT_EQ(answer->rows_size(), 1);
  EXPECT_EQ(answer->rows(0).values(0).text(), "10.0.0.1");
  EXPECT_EQ(answer->next_cursor(), "17");
  EXPECT_THAT(Logged("query"), ElementsAre("dataplane: query sources"));
}

TEST_F(FunctionRequestsTest, RefusesWhatTheDescriptorDoesNotHave) {
  (*request_.mutable_arguments())["top"] = "257";
  EXPECT_THAT(std::string(Refused().message()), HasSubstr("0 to 256"));
  request_.mutable_arguments()->clear();
  (*request_.mutable_arguments())["bottom"] = "1";
  EXPECT_THAT(std::string(Refused().message()), HasSubstr("there is: top"));
  request_.set_command("sinks");
  EXPECT_TRUE(absl::IsNotFound(Refused()));
}

TEST_F(FunctionRequestsTest, ACursorIsBoundedInBothDirections) {
  request_.set_cursor(std::string(kMaxCursorBytes + 1, 'c'));
  EXPECT_TRUE(absl::IsInvalidArgument(Refused()));
  request_.clear_cursor();
  connection_.page.set_next_cursor(std::string(kMaxCursorBytes + 1, 'c'));
  EXPECT_TRUE(absl::IsInternal(AnswerFunction(request_, served_).status()));
}

TEST_F(FunctionRequestsTest, NeedsADataplane) {
  Die();
  EXPECT_TRUE(absl::IsFailedPrecondition(Refused()));
}

}  // namespace
}  // namespace sluice
