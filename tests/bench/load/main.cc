// liveload: sends XDP live frames through a device under test and counts the frames that come back.
// Exit codes: 0 done, 1 failed, 2 usage.
#include <bpf/libbpf.h>

#include <cstdio>

#include "absl/strings/str_format.h"
#include "tests/bench/load/generator.h"
#include "tests/bench/load/options.h"

namespace {

std::string Json(const sluice::liveload::Counts& counts) {
  return absl::StrFormat(R"({"sent": %u, "received": %u, "received_bytes": %u, "wrong": %u, "foreign": %u})",
                         counts.sent, counts.sink.received, counts.sink.bytes, counts.sink.wrong, counts.sink.foreign);
}

}  // namespace

int main(int argc, char** argv) {
  libbpf_set_strict_mode(LIBBPF_STRICT_ALL);
  const sluice::liveload::OptionsResult parsed = sluice::liveload::ParseOptions(argc, argv);
  if (parsed.exit_code) {
    return *parsed.exit_code;
  }
  const auto generator = sluice::liveload::Generator::Open(parsed.options);
  const auto report = generator.ok() ? (*generator)->Run() : generator.status();
  if (!report.ok()) {
    absl::FPrintF(stderr, "liveload: %s\n", report.status().message());
    return 1;
  }
  absl::PrintF("{\"seconds\": %.6f,\n \"window\": %s,\n \"total\": %s}\n", report->seconds, Json(report->window),
               Json(report->total));
  return 0;
}
