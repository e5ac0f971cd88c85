#include "control/serve/function_requests.h"

#include <cmath>
#include <functional>
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

  // Of command `sources`: source, packets, bytes, idle.
  static dataplane::FunctionPage::Row GoodRow() {
    dataplane::FunctionPage::Row row;
    row.add_values()->set_text("10.0.0.1");
    row.add_values()->set_number(3);
    row.add_values()->set_number(300);
    row.add_values()->set_seconds(1.5);
    return row;
  }

  wire::FunctionRequest request_;
};

TEST_F(FunctionRequestsTest, AnswersWithTheCommandsColumns) {
  *connection_.page.add_rows() = GoodRow();
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

TEST_F(FunctionRequestsTest, APageThatIsNoneIsRefused) {
  request_.set_most_rows(2);
  const std::function<void(dataplane::FunctionPage&)> lies[] = {
      [](auto& page) { page.mutable_rows(0)->mutable_values()->RemoveLast(); },
      [](auto& page) { page.mutable_rows(0)->add_values()->set_number(1); },
      [](auto& page) { page.mutable_rows(0)->mutable_values(0)->set_number(1); },
      [](auto& page) { page.mutable_rows(0)->mutable_values(1)->set_text("many"); },
      [](auto& page) { page.mutable_rows(0)->mutable_values(3)->set_seconds(std::nan("")); },
      [](auto& page) { page.mutable_rows(0)->mutable_values(3)->set_seconds(HUGE_VAL); },
      [](auto& page) {
        *page.add_rows() = GoodRow();
        *page.add_rows() = GoodRow();
      },
      [](auto& page) { page.set_next_cursor("the same"); },
  };
  for (const auto& lie : lies) {
    connection_.page.Clear();
    *connection_.page.add_rows() = GoodRow();
    request_.set_cursor("the same");
    ASSERT_TRUE(AnswerFunction(request_, served_).ok());
    lie(connection_.page);
    EXPECT_TRUE(absl::IsInternal(AnswerFunction(request_, served_).status()));
  }
}

TEST_F(FunctionRequestsTest, TextOfTheDataplaneHasNoControlCharacters) {
  *connection_.page.add_rows() = GoodRow();
  connection_.page.mutable_rows(0)->mutable_values(0)->set_text("\x1b]0;mine\x07" + std::string(10000, 'x'));
  const absl::StatusOr<wire::FunctionResponse> answer = AnswerFunction(request_, served_);
  ASSERT_TRUE(answer.ok()) << answer.status();
  EXPECT_EQ(answer->rows(0).values(0).text(), "?]0;mine?" + std::string(4096 - 9, 'x'));
}

TEST_F(FunctionRequestsTest, NeedsADataplane) {
  Die();
  EXPECT_TRUE(absl::IsFailedPrecondition(Refused()));
}

}  // namespace
}  // namespace sluice
