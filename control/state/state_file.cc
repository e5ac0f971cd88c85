#include "control/state/state_file.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "dataplane/base/whole_file.h"
#include "google/protobuf/util/json_util.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A full set of rules is far below; a stranger's file must not fill the memory.
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<StateFile> StateFile::Open(std::string path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) {
    return StateFile(std::move(path), /*found=*/false, {});
  }
  SavedState state;
  if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &state).ok()) {
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
  return ReplaceFile(path_, absl::StrCat(text, "\n"));
}

absl::Status StateFile::Remove() {
  return RemoveFile(path_);
}

}  // namespace sluice
