#include "dataplane/process/function_page.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dataplane/contract/fd_channel.h"

namespace sluice {
namespace {

constexpr ColumnSpec kColumns[] = {
    {"name", ColumnType::kText}, {"bytes", ColumnType::kBytes}, {"idle", ColumnType::kSeconds}};
constexpr CommandSpec kCommand = {
    .name = "list", .help = "", .example = "", .access = Access::kRead, .arguments = {}, .columns = kColumns};

absl::StatusOr<dataplane::FunctionPage> Made(const Page& page, uint32_t most_rows = 256) {
  return MakeFunctionPage({.command = &kCommand, .arguments = {}, .cursor = "", .most_rows = most_rows}, page);
}

std::vector<Page::Value> Row(const std::string& name) {
  return {name, uint64_t{7}, 0.5};
}

TEST(FunctionPage, HoldsRowsAndCursor) {
  const auto made = Made({.rows = {Row("a"), Row("b")}, .next_cursor = std::string(kMaxCursorBytes, 'c')});
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_EQ(made->rows_size(), 2);
  EXPECT_EQ(made->rows(1).values(0).text(), "b");
  EXPECT_EQ(made->rows(1).values(1).number(), 7U);
  EXPECT_EQ(made->rows(1).values(2).seconds(), 0.5);
  EXPECT_EQ(made->next_cursor().size(), kMaxCursorBytes);
}

TEST(FunctionPage, OfAnotherShapeIsRefused) {
  constexpr auto kInternal = absl::StatusCode::kInternal;
  EXPECT_EQ(Made({.rows = {{std::string("a"), uint64_t{7}}}}).status().code(), kInternal) << "a column too few";
  EXPECT_EQ(Made({.rows = {{std::string("a"), 0.5, uint64_t{7}}}}).status().code(), kInternal) << "other types";
  EXPECT_EQ(Made({.rows = {Row("a"), Row("b")}}, 1).status().code(), kInternal) << "more rows than asked for";
  const Page endless = {.rows = {}, .next_cursor = std::string(kMaxCursorBytes + 1, 'c')};
  EXPECT_EQ(Made(endless).status().code(), kInternal) << "a cursor that nobody takes back";
}

TEST(FunctionPage, ThatFitsNoMessageIsRefusedWithAdvice) {
  const absl::Status refused = Made({.rows = {Row(std::string(kMaxMessageBytes, 'x'))}}).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_NE(refused.message().find("ask for fewer rows"), absl::string_view::npos);
}

}  // namespace
}  // namespace sluice
