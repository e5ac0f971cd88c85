#include "control/state/state_file.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "dataplane/base/whole_file.h"
#include "google/protobuf/util/json_util.h"

namespace sluice {
namespace {

// A full set of rules is far below; a stranger's file must not fill the memory.
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<SavedState> ReadStateFile(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) {
    return text.status();
  }
  SavedState state;
  if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &state).ok()) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read; if no Sluice is running here, remove it"));
  }
  return state;
}

absl::Status WriteStateFile(const std::string& path, const SavedState& state) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(state, &text).ok()) {
    return absl::InternalError("saved state does not print");
  }
  return ReplaceFile(path, absl::StrCat(text, "\n"));
}

absl::Status RemoveStateFile(const std::string& path) {
  return RemoveFile(path);
}

}  // namespace sluice
