#include "control/cli/output.h"

#include <google/protobuf/stubs/common.h>
#include <google/protobuf/util/json_util.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace sluice::cli {
namespace {

std::string Environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

void Print(const std::string& text) {
  fwrite(text.data(), 1, text.size(), stdout);
  fflush(stdout);
}

void PrintError(const std::string& text) {
  fprintf(stderr, "sluicectl: %s\n", text.c_str());
}

void PrintMessage(const Context& context, const google::protobuf::Message& message,
                  const std::function<std::string()>& render) {
  Print(context.json ? ToJson(message, JsonLayout::kPretty) : render());
}

std::string ToJson(const google::protobuf::Message& message, JsonLayout layout) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = layout == JsonLayout::kPretty;
  options.preserve_proto_field_names = true;
#if GOOGLE_PROTOBUF_VERSION >= 5026000
  options.always_print_fields_with_no_presence = true;
#else
  options.always_print_primitive_fields = true;
#endif
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) {
    return "{}\n";  // only for a string that is not UTF-8, which parsing has refused before
  }
  if (text.empty() || text.back() != '\n') {
    text.push_back('\n');
  }
  return text;
}

Style StyleOfOutput() {
  if (isatty(STDOUT_FILENO) != 1) {
    return {};
  }
  Style style;
  style.redraws = Environment("TERM") != "dumb";
  style.colours = style.redraws && Environment("NO_COLOR").empty();
  // A serial console says 0: its width is not known.
  if (winsize size{}; ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
    style.columns = size.ws_col;
  }
  return style;
}

}  // namespace sluice::cli
