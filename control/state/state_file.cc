#include "control/state/state_file.h"

#include <cstddef>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "control/state/check_saved_state.h"
#include "dataplane/base/whole_file.h"
#include "google/protobuf/util/json_util.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// A full set of rules is far below; a stranger's file must not fill the memory.
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<SavedState> ParseSavedState(const std::string& text) {
  SavedState state;
  if (const auto parsed = google::protobuf::util::JsonStringToMessage(text, &state); !parsed.ok()) {
    return absl::DataLossError("it is not the JSON of a saved state");
  }
  absl::Status s = CheckSavedState(state);
  return s.ok() ? absl::StatusOr<SavedState>(std::move(state)) : s;
}

StateFile StateFile::Open(std::string path) {
  const absl::StatusOr<std::string> text = ReadWholeFile(path, kMaxBytes);
  if (absl::IsNotFound(text.status())) {
    return StateFile(std::move(path), /*found=*/false, {});
  }
  absl::StatusOr<SavedState> state = text.ok() ? ParseSavedState(*text) : text.status();
  if (!state.ok()) {
    spdlog::error("{} is ignored: {}; devices stay at the end as they are found now", path,
                  std::string(state.status().message()));
    return StateFile(std::move(path), /*found=*/false, {});
  }
  return StateFile(std::move(path), /*found=*/true, *std::move(state));
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
  absl::Status s = RemoveFile(path_);
  std::error_code error;
  // A folder, say, in its place is not ours.
  return std::filesystem::is_regular_file(path_, error) ? s : absl::OkStatus();
}

}  // namespace sluice
