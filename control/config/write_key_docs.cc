// Writes the documentation of the configuration's keys; part of the build, not installed.
//   write_key_docs readme README       replaces the tables in control/config/README.md
//   write_key_docs man EXAMPLE PAGE    writes sluice.toml(5) to PAGE, with EXAMPLE in it
#include <cstdio>
#include <fstream>
#include <string>

#include "control/config/key_docs.h"
#include "dataplane/base/whole_file.h"

namespace {

constexpr size_t kMaxBytes = 1 << 20;

absl::Status Write(const char* path, const absl::StatusOr<std::string>& text) {
  if (!text.ok()) {
    return text.status();
  }
  std::ofstream file(path);
  file << *text;
  file.close();
  return file ? absl::OkStatus() : absl::UnavailableError("it cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  absl::Status done;
  if (verb == "readme" && argc == 3) {
    const absl::StatusOr<std::string> readme = sluice::ReadWholeFile(argv[2], kMaxBytes);
    done = Write(argv[2], readme.ok() ? sluice::WithReadmeTables(*readme) : readme);
  } else if (verb == "man" && argc == 4) {
    const absl::StatusOr<std::string> example = sluice::ReadWholeFile(argv[2], kMaxBytes);
    done = Write(argv[3], example.ok() ? sluice::ManPage(SLUICE_VERSION, *example) : example);
  } else {
    fputs("usage: write_key_docs readme README | man EXAMPLE PAGE\n", stderr);
    return 2;
  }
  if (!done.ok()) {
    fprintf(stderr, "write_key_docs: %s of %s: %s\n", argv[1], argv[2], std::string(done.message()).c_str());
    return 1;
  }
  return 0;
}
