#include "control/serve/function_requests.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/dataplane/plain_text.h"
#include "dataplane/function/settings.h"

namespace sluice {
namespace {

constexpr size_t kMaxTextBytes = 4096;  // of a value

const CommandSpec* FindCommand(const FunctionDescriptor& function, const std::string& name) {
  const auto found = std::find_if(function.commands.begin(), function.commands.end(),
                                  [&](const CommandSpec& command) { return name == command.name; });
  return found == function.commands.end() ? nullptr : &*found;
}

std::string CommandNames(const FunctionDescriptor& function) {
  return function.commands.empty()
             ? "none"
             : absl::StrJoin(function.commands.begin(), function.commands.end(), ", ",
                             [](std::string* out, const CommandSpec& command) { out->append(command.name); });
}

const char* TypeName(ColumnType type) {
  switch (type) {
    case ColumnType::kText:
      return "text";
    case ColumnType::kCount:
      return "count";
    case ColumnType::kBytes:
      return "bytes";
    case ColumnType::kSeconds:
      return "seconds";
  }
  return "";
}

bool IsOf(ColumnType type, const dataplane::FunctionPage::Value& value) {
  switch (type) {
    case ColumnType::kText:
      return value.has_text();
    case ColumnType::kSeconds:
      return value.has_seconds() && std::isfinite(value.seconds());
    case ColumnType::kCount:
    case ColumnType::kBytes:
      return !value.has_text() && !value.has_seconds();
  }
  return false;
}

// Checks a page before anything of it is used: a dataplane that checks its own answers may have been taken over.
absl::Status CheckPage(const CommandSpec& command, const dataplane::QueryFunction& query,
                       const dataplane::FunctionPage& page) {
  const auto wrong = [&](absl::string_view words) {
    return absl::InternalError(absl::StrCat("the dataplane's answer to ", command.name, " is broken: ", words));
  };
  if (page.next_cursor().size() > kMaxCursorBytes) {
    return wrong(absl::StrCat("a cursor of ", page.next_cursor().size(), " bytes, more than ", kMaxCursorBytes));
  }
  if (!page.next_cursor().empty() && page.next_cursor() == query.cursor()) {
    return wrong("it does not come to an end");
  }
  if (query.most_rows() != 0 && static_cast<uint32_t>(page.rows_size()) > query.most_rows()) {
    return wrong(absl::StrCat(page.rows_size(), " rows instead of ", query.most_rows()));
  }
  for (const dataplane::FunctionPage::Row& row : page.rows()) {
    if (static_cast<size_t>(row.values_size()) != command.columns.size()) {
      return wrong(absl::StrCat("a row of ", row.values_size(), " values for ", command.columns.size(), " columns"));
    }
    for (int i = 0; i < row.values_size(); ++i) {
      const ColumnSpec& column = command.columns[static_cast<size_t>(i)];
      if (!IsOf(column.type, row.values(i))) {
        return wrong(absl::StrCat("a value that is none of column ", column.name));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool Changes(const wire::FunctionRequest& request, const Served& served) {
  const CommandSpec* command = FindCommand(served.function.descriptor(), request.command());
  return command != nullptr && command->access == Access::kChange;
}

absl::StatusOr<wire::FunctionResponse> AnswerFunction(const wire::FunctionRequest& request, const Served& served) {
  const FunctionDescriptor& function = served.function.descriptor();
  const CommandSpec* command = FindCommand(function, request.command());
  if (command == nullptr) {
    return absl::NotFoundError(absl::StrCat("function \"", function.name, "\" has no command ", request.command(),
                                            "; it has: ", CommandNames(function)));
  }
  const absl::StatusOr<Settings> arguments =
      Settings::Read(command->arguments, {request.arguments().begin(), request.arguments().end()});
  if (!arguments.ok()) {
    return arguments.status();
  }
  if (request.cursor().size() > kMaxCursorBytes) {
    return absl::InvalidArgumentError(absl::StrCat("a cursor of ", request.cursor().size(), " bytes, more than ",
                                                   kMaxCursorBytes, "; send the next_cursor of the page before"));
  }
  if (absl::Status s = served.dataplane.CheckUp(); !s.ok()) {
    return s;
  }
  dataplane::QueryFunction query;
  query.set_command(command->name);
  query.mutable_arguments()->insert(arguments->texts().begin(), arguments->texts().end());
  query.set_cursor(request.cursor());
  query.set_most_rows(request.most_rows());
  const absl::StatusOr<dataplane::FunctionPage> page = served.dataplane.QueryFunction(query);
  if (!page.ok()) {
    return page.status();
  }
  if (absl::Status s = CheckPage(*command, query, *page); !s.ok()) {
    return s;
  }
  wire::FunctionResponse response;
  response.set_function(function.name);
  for (const ColumnSpec& column : command->columns) {
    wire::FunctionResponse::Column& out = *response.add_columns();
    out.set_name(column.name);
    out.set_type(TypeName(column.type));
  }
  for (const dataplane::FunctionPage::Row& row : page->rows()) {
    wire::FunctionResponse::Row& out = *response.add_rows();
    for (const dataplane::FunctionPage::Value& value : row.values()) {
      wire::FunctionResponse::Value& one = *out.add_values();
      if (value.has_text()) {
        one.set_text(PlainText(value.text(), kMaxTextBytes));
      } else if (value.has_seconds()) {
        one.set_seconds(value.seconds());
      } else {
        one.set_number(value.number());
      }
    }
  }
  response.set_next_cursor(page->next_cursor());
  return response;
}

void FillFunction(const Served& served, wire::Function& out) {
  const FunctionDescriptor& function = served.function.descriptor();
  out.set_name(function.name);
  out.set_summary(function.summary);
  out.mutable_settings()->insert(served.function.settings().begin(), served.function.settings().end());
  for (size_t index = 0; index < function.counters.size(); ++index) {
    (*out.mutable_counters())[function.counters[index].name] =
        served.dataplane.stats().function_counter(static_cast<uint32_t>(index));
  }
}

}  // namespace sluice
