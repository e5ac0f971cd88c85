// Reads, replaces and removes files as a whole.
//
// State that must survive a crash, of the process or of the machine, is written by ReplaceFile and nothing else: a
// reader finds the old text or the new one, never a half, and after a power cut too. On a file system in memory
// (/run) the syncs cost nothing.
//
// Any thread; of two that write one path at a time, either may win. Blocks.
#ifndef SLUICE_DATAPLANE_BASE_WHOLE_FILE_H_
#define SLUICE_DATAPLANE_BASE_WHOLE_FILE_H_

#include <sys/types.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice {

// Reads a regular file, and never waits: a FIFO in its place would block a daemon until somebody writes to it.
// Errors: "PATH: cannot be read: errno's text" in absl::ErrnoToStatus's class (NotFound, PermissionDenied and others);
// InvalidArgument for a path that is no regular file, and, with the limit, for a file longer than `max_bytes`.
absl::StatusOr<std::string> ReadWholeFile(const std::string& path, size_t max_bytes);

// Reads a file of any kind, such as a pipe of the user's shell, to its end. Not for a daemon: it waits while the other
// end writes. Errors as ReadWholeFile; and DeadlineExceeded when nothing comes for `silence`, as from a FIFO that
// nobody writes to.
inline constexpr absl::Duration kPipeSilence = absl::Seconds(10);
absl::StatusOr<std::string> ReadFileOrPipe(const std::string& path, size_t max_bytes,
                                           absl::Duration silence = kPipeSilence);

// Reads from an open descriptor to its end. `name` stands for the path in errors, which are those of ReadWholeFile.
absl::StatusOr<std::string> ReadToEnd(int fd, absl::string_view name, size_t max_bytes);

// Makes the file, or replaces its content with `text`: writes PATH.next, renames it, and syncs both file and folder, so
// that it is on the disk when this returns. Internal, with path and errno's text; the file is then as it
// was, or, when only the last fsync failed, replaced.
absl::Status ReplaceFile(const std::string& path, absl::string_view text, mode_t mode = 0644);

// Gives the file another name, in place of a file of that name, for good. NotFound when there is none.
absl::Status RenameFile(const std::string& from, const std::string& to);

// Removes the file so that it stays away after a power cut. Ok when there is none.
absl::Status RemoveFile(const std::string& path);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_BASE_WHOLE_FILE_H_
