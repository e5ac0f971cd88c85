#include "control/state/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "dataplane/base/whole_file.h"
#include "google/protobuf/util/json_util.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

// An apply holds the text of two configuration files, each in JSON; a stranger's file must not fill the memory.
constexpr size_t kMaxBytes = size_t{16} << 20;

}  // namespace

absl::StatusOr<StateDir> StateDir::Open(const std::string& path) {
  StateDir dir(path);
  std::error_code error;
  std::filesystem::create_directories(path, error);
  dir.folder_ = UniqueFd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!dir.folder_) {
    spdlog::warn("{}: {}; no configuration is kept there, and none can be applied; --state-dir names another folder",
                 path, strerror(errno));
  } else if (flock(dir.folder_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is another agent's; give this one a folder of its own with --state-dir"));
  }
  return dir;
}

absl::StatusOr<std::string> StateDir::ReadLastGood() const {
  return ReadWholeFile(last_good_path(), kMaxBytes);
}

absl::Status StateDir::KeepLastGood(const std::string& text) {
  const absl::StatusOr<std::string> there = ReadLastGood();
  return there.ok() && *there == text ? absl::OkStatus() : ReplaceFile(last_good_path(), text);
}

absl::StatusOr<SavedApply> StateDir::ReadApply() const {
  const absl::StatusOr<std::string> text = ReadWholeFile(apply_path(), kMaxBytes);
  if (absl::IsNotFound(text.status())) {
    return text.status();
  }
  SavedApply apply;
  if (!text.ok() || !google::protobuf::util::JsonStringToMessage(*text, &apply).ok()) {
    return absl::DataLossError(absl::StrCat(apply_path(), " cannot be read"));
  }
  return apply;
}

absl::Status StateDir::KeepApply(const SavedApply& apply) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(apply, &text).ok()) {
    return absl::InternalError("an apply does not print");
  }
  return ReplaceFile(apply_path(), absl::StrCat(text, "\n"));
}

absl::Status StateDir::RemoveApply() {
  return RemoveFile(apply_path());
}

}  // namespace sluice
