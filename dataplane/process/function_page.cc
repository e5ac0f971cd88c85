#include "dataplane/process/function_page.h"

#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "dataplane/contract/fd_channel.h"

namespace sluice {
namespace {

// The rest of a message is for what is around a page.
constexpr size_t kMostBytesOfPage = kMaxMessageBytes * 3 / 4;

bool IsOf(ColumnType type, const Page::Value& value) {
  switch (type) {
    case ColumnType::kText:
      return std::holds_alternative<std::string>(value);
    case ColumnType::kCount:
    case ColumnType::kBytes:
      return std::holds_alternative<uint64_t>(value);
    case ColumnType::kSeconds:
      return std::holds_alternative<double>(value);
  }
  return false;
}

void SetValue(const Page::Value& value, dataplane::FunctionPage::Value& out) {
  if (const auto* number = std::get_if<uint64_t>(&value)) {
    out.set_number(*number);
  } else if (const auto* seconds = std::get_if<double>(&value)) {
    out.set_seconds(*seconds);
  } else {
    out.set_text(std::get<std::string>(value));
  }
}

absl::Status CheckRow(const CommandSpec& command, const std::vector<Page::Value>& values) {
  if (values.size() != command.columns.size()) {
    return absl::InternalError(absl::StrCat("command ", command.name, " answered with a row of ", values.size(),
                                            " values, for ", command.columns.size(), " columns"));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!IsOf(command.columns[i].type, values[i])) {
      return absl::InternalError(absl::StrCat(
          "command ", command.name, " answered with a value of another type in column ", command.columns[i].name));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<dataplane::FunctionPage> MakeFunctionPage(const Query& query, const Page& page) {
  const CommandSpec& command = *query.command;
  if (page.rows.size() > query.most_rows) {
    return absl::InternalError(absl::StrCat("command ", command.name, " answered with ", page.rows.size(),
                                            " rows, asked for ", query.most_rows));
  }
  if (page.next_cursor.size() > kMaxCursorBytes) {
    return absl::InternalError(absl::StrCat("command ", command.name, " answered with a cursor of ",
                                            page.next_cursor.size(), " bytes, more than ", kMaxCursorBytes));
  }
  dataplane::FunctionPage filled;
  for (const std::vector<Page::Value>& values : page.rows) {
    if (absl::Status s = CheckRow(command, values); !s.ok()) {
      return s;
    }
    dataplane::FunctionPage::Row& row = *filled.add_rows();
    for (const Page::Value& value : values) {
      SetValue(value, *row.add_values());
    }
  }
  filled.set_next_cursor(page.next_cursor);
  if (filled.ByteSizeLong() > kMostBytesOfPage) {
    return absl::ResourceExhaustedError(absl::StrCat("the answer has ", filled.ByteSizeLong(), " bytes, more than ",
                                                     kMostBytesOfPage, "; ask for fewer rows"));
  }
  return filled;
}

}  // namespace sluice
