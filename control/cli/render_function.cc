#include "control/cli/render_function.h"

#include <map>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "dataplane/functions/catalog.h"

namespace sluice::cli {
namespace {

std::string Text(const wire::FunctionResponse::Value& value) {
  switch (value.value_case()) {
    case wire::FunctionResponse::Value::kNumber:
      return absl::StrCat(value.number());
    case wire::FunctionResponse::Value::kSeconds:
      return absl::StrFormat("%.1fs", value.seconds());
    default:
      return value.text();
  }
}

}  // namespace

std::string RenderFunction(const wire::Function& function, Style style) {
  std::string text = Wrap(absl::StrCat(function.name(), ": "), function.summary(), style.text_columns());
  if (!function.settings().empty()) {
    const std::map<std::string, std::string> sorted(function.settings().begin(), function.settings().end());
    absl::StrAppend(&text,
                    Wrap("settings: ", absl::StrJoin(sorted, " ", absl::PairFormatter("=")), style.text_columns()));
  }
  const FunctionDescriptor* descriptor = FindFunction(function.name());
  if (descriptor == nullptr) {
    return text;  // an agent newer than we are
  }
  Table counters({{"COUNTER"}, {"VALUE", true}, {"MEANING"}});
  for (const NamedHelp& counter : descriptor->counters) {
    const auto value = function.counters().find(counter.name);
    counters.Add({counter.name, absl::StrCat(value == function.counters().end() ? 0 : value->second), counter.help});
  }
  Table commands({{"COMMAND"}, {"ANSWERS WITH"}});
  for (const CommandSpec& command : descriptor->commands) {
    commands.Add({absl::StrCat("sluicectl function ", command.name), command.help});
  }
  for (const Table* table : {&counters, &commands}) {
    if (!table->empty()) {
      absl::StrAppend(&text, "\n", table->Text(style));
    }
  }
  return text;
}

std::string RenderRows(const wire::FunctionResponse& answer, Style style) {
  std::vector<std::string> titles;
  std::vector<Table::Column> columns;
  for (const wire::FunctionResponse::Column& column : answer.columns()) {
    titles.push_back(absl::AsciiStrToUpper(column.name()));
  }
  columns.reserve(titles.size());
  for (int i = 0; i < answer.columns_size(); ++i) {
    columns.push_back({titles[i].c_str(), answer.columns(i).type() != "text"});
  }
  Table table(std::move(columns));
  for (const wire::FunctionResponse::Row& row : answer.rows()) {
    std::vector<std::string> values;
    for (const wire::FunctionResponse::Value& value : row.values()) {
      values.push_back(Text(value));
    }
    values.resize(titles.size());
    table.Add(std::move(values));
  }
  return table.empty() ? "none\n" : table.Text(style);
}

}  // namespace sluice::cli
