#include "dataplane/base/whole_file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/base/unique_fd.h"

namespace sluice {
namespace {

absl::Status CannotRead(absl::string_view name, int error) {
  return absl::ErrnoToStatus(error, absl::StrCat(name, ": cannot be read"));
}

absl::Status TooLarge(absl::string_view name, size_t max_bytes) {
  return absl::InvalidArgumentError(absl::StrCat(name, ": larger than ", max_bytes, " bytes"));
}

absl::Status Failed(absl::string_view what, absl::string_view path, int error) {
  return absl::InternalError(absl::StrCat(what, " ", path, ": ", strerror(error)));
}

// Returns errno's value, or 0.
int WriteAll(int fd, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(fd, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<size_t>(n));
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

// Makes a name that was just set or removed in `path`'s folder permanent. Returns errno's value, or 0.
int SyncFolderOf(const std::string& path) {
  const std::filesystem::path parent = std::filesystem::path(path).parent_path();
  const UniqueFd folder(open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return folder && fsync(folder.get()) == 0 ? 0 : errno;
}

}  // namespace

absl::StatusOr<std::string> ReadToEnd(int fd, absl::string_view name, size_t max_bytes) {
  std::string text;
  char chunk[16 * 1024];
  while (text.size() <= max_bytes) {
    const ssize_t n = read(fd, chunk, sizeof(chunk));
    if (n > 0) {
      text.append(chunk, static_cast<size_t>(n));
    } else if (n == 0) {
      break;
    } else if (errno != EINTR) {
      return CannotRead(name, errno);
    }
  }
  if (text.size() > max_bytes) {
    return TooLarge(name, max_bytes);
  }
  return text;
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK: to open a FIFO would wait for its writer. The kind is asked of the open file, not of the path, which
  // may change in between.
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts {};
  if (!fd || fstat(fd.get(), &facts) != 0) {
    return CannotRead(path, errno);
  }
  if (!S_ISREG(facts.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not a regular file"));
  }
  return ReadToEnd(fd.get(), path, max_bytes);
}

absl::StatusOr<std::string> ReadFileOrPipe(const std::string& path, size_t max_bytes, absl::Duration silence) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat facts {};
  if (!fd || fstat(fd.get(), &facts) != 0) {
    return CannotRead(path, errno);
  }
  if (S_ISREG(facts.st_mode) && static_cast<uint64_t>(facts.st_size) > max_bytes) {
    return TooLarge(path, max_bytes);
  }
  std::string text;
  while (text.size() <= max_bytes) {
    char chunk[16 * 1024];
    const ssize_t n = read(fd.get(), chunk, sizeof(chunk));
    if (n > 0) {
      text.append(chunk, static_cast<size_t>(n));
      continue;
    }
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      return CannotRead(path, errno);
    }
    // A FIFO without a writer has an end, too. One that had none since it was opened is not ready (fs/pipe.c:
    // pipe_poll).
    const bool may_begin = n == 0 && text.empty() && S_ISFIFO(facts.st_mode);
    if (n == 0 && !may_begin) {
      break;
    }
    pollfd ready{fd.get(), POLLIN, 0};
    if (const int events = poll(&ready, 1, static_cast<int>(absl::ToInt64Milliseconds(silence))); events == 0) {
      return absl::DeadlineExceededError(
          absl::StrCat(path, ": nothing came for ", absl::FormatDuration(silence), "; does anything write to it?"));
    }
    if (may_begin && (ready.revents & POLLIN) == 0) {
      break;  // its writer came and went without a word
    }
  }
  return text.size() > max_bytes ? TooLarge(path, max_bytes) : absl::StatusOr<std::string>(std::move(text));
}

absl::Status ReplaceFile(const std::string& path, absl::string_view text, mode_t mode) {
  const std::string next = absl::StrCat(path, ".next");
  const UniqueFd file(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
  if (!file) {
    return Failed("cannot write", next, errno);
  }
  if (const int error = WriteAll(file.get(), text); error != 0) {
    return Failed("cannot write", next, error);
  }
  // The text before its name, the name before this returns.
  if (fsync(file.get()) != 0 || rename(next.c_str(), path.c_str()) != 0) {
    return Failed("cannot write", path, errno);
  }
  const int error = SyncFolderOf(path);
  return error == 0 ? absl::OkStatus() : Failed("cannot write", path, error);
}

absl::Status RenameFile(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    return errno == ENOENT ? absl::NotFoundError(absl::StrCat(from, ": there is none"))
                           : Failed("cannot write", to, errno);
  }
  const int error = SyncFolderOf(to);
  return error == 0 ? absl::OkStatus() : Failed("cannot write", to, error);
}

absl::Status RemoveFile(const std::string& path) {
  if (unlink(path.c_str()) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed("cannot remove", path, errno);
  }
  const int error = SyncFolderOf(path);
  return error == 0 ? absl::OkStatus() : Failed("cannot remove for good", path, error);
}

}  // namespace sluice
