#include "control/state/state_dir.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "spdlog/spdlog.h"

namespace sluice {
namespace {

absl::Status Failed(const std::string& what, const std::string& path) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", strerror(errno)));
}

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  if (access(path.c_str(), F_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(path, ": ", strerror(errno)));
  }
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::DataLossError(absl::StrCat(path, " cannot be read"));
  }
  return text.str();
}

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
  return ReadWhole(last_good_path());
}

absl::Status StateDir::KeepLastGood(const std::string& text) {
  const absl::StatusOr<std::string> there = ReadLastGood();
  return there.ok() && *there == text ? absl::OkStatus() : Write(last_good_path(), text);
}

absl::StatusOr<SavedApply> StateDir::ReadApply() const {
  const absl::StatusOr<std::string> text = ReadWhole(apply_path());
  if (!text.ok()) {
    return text.status();
  }
  SavedApply apply;
  if (!google::protobuf::util::JsonStringToMessage(*text, &apply).ok()) {
    return absl::DataLossError(absl::StrCat(apply_path(), " cannot be read"));
  }
  return apply;
}

absl::Status StateDir::KeepApply(const SavedApply& apply) {
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(apply, &text).ok()) {
    return absl::InternalError("an apply does not print");
  }
  return Write(apply_path(), absl::StrCat(text, "\n"));
}

absl::Status StateDir::RemoveApply() {
  if (unlink(apply_path().c_str()) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed("cannot remove", apply_path());
  }
  return fsync(folder_.get()) == 0 ? absl::OkStatus() : Failed("cannot remove for good", apply_path());
}

absl::Status StateDir::Write(const std::string& path, const std::string& text) {
  const std::string next = absl::StrCat(path, ".next");
  const UniqueFd file(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) {
    return Failed("cannot write", next);
  }
  size_t written = 0;
  while (written < text.size()) {
    const ssize_t n = write(file.get(), text.data() + written, text.size() - written);
    if (n < 0 && errno == EINTR) {
      continue;
    }
    if (n < 0) {
      return Failed("cannot write", next);
    }
    written += static_cast<size_t>(n);
  }
  // The text is on the disk before its name, and the name before we return: after a power cut a reader finds the old
  // file or the new one.
  if (fsync(file.get()) != 0 || rename(next.c_str(), path.c_str()) != 0 || fsync(folder_.get()) != 0) {
    return Failed("cannot write", path);
  }
  return absl::OkStatus();
}

}  // namespace sluice
