#include "control/cli/commands_function.h"

#include <optional>
#include <utility>

#include "control/cli/ask.h"
#include "control/cli/output.h"
#include "control/cli/render_function.h"

namespace sluice::cli {
namespace {

constexpr uint32_t kRowsOfPage = 256;

}  // namespace

ExitCode RunFunction(const Context& context) {
  wire::Request request;
  request.mutable_status();
  ExitCode code = kDone;
  if (const auto response = Ask(context, request, kLookTimeout, wire::Response::kStatus, code); response.has_value()) {
    const wire::Function& function = response->status().function();
    PrintMessage(context, function, [&] { return RenderFunction(function, context.style); });
  }
  return code;
}

ExitCode RunFunctionCommand(const Context& context, const std::string& command,
                            const std::map<std::string, std::string>& arguments) {
  wire::Request request;
  wire::FunctionRequest& asked = *request.mutable_function();
  asked.set_command(command);
  asked.set_most_rows(kRowsOfPage);
  for (const auto& [name, text] : arguments) {
    if (!text.empty()) {
      (*asked.mutable_arguments())[name] = text;
    }
  }
  wire::FunctionResponse all;
  do {
    ExitCode code = kDone;
    std::optional<wire::Response> page = Ask(context, request, kLookTimeout, wire::Response::kFunction, code);
    if (!page.has_value()) {
      return code;
    }
    asked.set_cursor(page->function().next_cursor());
    all.MergeFrom(page->function());
    if (all.columns_size() > page->function().columns_size()) {  // every page has them
      *all.mutable_columns() = page->function().columns();
    }
  } while (!asked.cursor().empty());
  all.clear_next_cursor();
  PrintMessage(context, all, [&] { return RenderRows(all, context.style); });
  return kDone;
}

}  // namespace sluice::cli
