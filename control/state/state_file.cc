#include "control/state/state_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "spdlog/spdlog.h"

namespace sluice {

absl::StatusOr<StateFile> StateFile::Open(std::string path) {
  if (access(path.c_str(), F_OK) != 0) {
    return StateFile(std::move(path), /*found=*/false, {});
  }
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  SavedState state;
  if (!file || !google::protobuf::util::JsonStringToMessage(text.str(), &state).ok()) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read; if no Sluice is running here, remove it"));
  }
  return StateFile(std::move(path), /*found=*/true, std::move(state));
}

void StateFile::Update(absl::FunctionRef<void(SavedState&)> change) {
  change(state_);
  if (absl::Status s = Write(); !s.ok()) {
    spdlog::warn("{}; an agent that starts after a crash will not know what to put back", std::string(s.message()));
  }
}

absl::Status StateFile::Write() const {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(state_, &text).ok()) {
    return absl::InternalError("saved state does not print");
  }
  const std::string next = absl::StrCat(path_, ".next");
  std::ofstream file(next, std::ios::trunc);
  file << text << "\n";
  file.close();
  if (!file || rename(next.c_str(), path_.c_str()) != 0) {
    return absl::InternalError(absl::StrCat("cannot write ", path_, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status StateFile::Remove() {
  if (unlink(path_.c_str()) != 0 && errno != ENOENT) {
    return absl::InternalError(absl::StrCat("cannot remove ", path_, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace sluice
