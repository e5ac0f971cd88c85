// flowgen: sends numbered packets through a network device and accounts for every one of them.
// Exit codes: 0 done, 1 failed (or not exact, with --exact), 2 usage.
#include <iostream>
#include <string>

#include "google/protobuf/util/json_util.h"
#include "tests/traffic/options.h"
#include "tests/traffic/run.h"
#include "tests/traffic/summary.h"

namespace {

std::string Json(const sluice::flowgen::Report& report) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = true;
  options.always_print_primitive_fields = true;
  options.preserve_proto_field_names = true;
  std::string json;
  return google::protobuf::util::MessageToJsonString(report, &json, options).ok() ? json : "";
}

}  // namespace

int main(int argc, char** argv) {
  const sluice::flowgen::OptionsResult parsed = sluice::flowgen::ParseOptions(argc, argv);
  if (parsed.exit_code) {
    return *parsed.exit_code;
  }
  const absl::StatusOr<sluice::flowgen::Report> report = sluice::flowgen::RunTraffic(parsed.options);
  if (!report.ok()) {
    std::cerr << "flowgen: " << report.status().message() << "\n";
    return 1;
  }
  std::cout << (parsed.options.json ? Json(*report) : sluice::flowgen::Summary(*report));
  return parsed.options.require_exact && !report->exact() ? 1 : 0;
}
