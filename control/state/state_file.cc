#include "control/state/state_file.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"

namespace sluice {

absl::StatusOr<SavedState> ReadStateFile(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  }
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  SavedState state;
  if (!file || !google::protobuf::util::JsonStringToMessage(text.str(), &state).ok()) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read; if no Sluice is running here, remove it"));
  }
  return state;
}

absl::Status WriteStateFile(const std::string& path, const SavedState& state) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(state, &text).ok()) {
    return absl::InternalError("saved state does not print");
  }
  const std::string next = absl::StrCat(path, ".next");
  std::ofstream file(next, std::ios::trunc);
  file << text << "\n";
  file.close();
  if (!file || rename(next.c_str(), path.c_str()) != 0) {
    return absl::InternalError(absl::StrCat("cannot write ", path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status RemoveStateFile(const std::string& path) {
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::InternalError(absl::StrCat("cannot remove ", path, ": ", strerror(errno)));
  }
  return absl::OkStatus();
}

}  // namespace sluice
