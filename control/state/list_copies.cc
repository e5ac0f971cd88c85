#include "control/state/list_copies.h"

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "dataplane/base/whole_file.h"

namespace sluice {
namespace {

constexpr const char* kLists[] = {"blocklist", "allowlist"};

}  // namespace

std::string ListCopies::last_good_path(absl::string_view list) const {
  return absl::StrCat(folder_, "/last-good-", list);
}

std::string ListCopies::CandidatePath(absl::string_view list) const {
  return absl::StrCat(folder_, "/candidate-", list);
}

absl::Status ListCopies::Stage(absl::string_view list, absl::string_view text) const {
  const absl::StatusOr<std::string> there = ReadWholeFile(last_good_path(list), text.size());
  constexpr mode_t kOwnerOnly = 0600;  // the file it is from may be readable by few
  return there.ok() && *there == text ? RemoveFile(CandidatePath(list))
                                      : ReplaceFile(CandidatePath(list), text, kOwnerOnly);
}

absl::Status ListCopies::Keep() const {
  absl::Status first;
  for (const char* list : kLists) {
    const absl::Status s = RenameFile(CandidatePath(list), last_good_path(list));
    first.Update(absl::IsNotFound(s) ? absl::OkStatus() : s);
  }
  return first;
}

absl::Status ListCopies::Drop() const {
  absl::Status first;
  for (const char* list : kLists) {
    first.Update(RemoveFile(CandidatePath(list)));
  }
  return first;
}

}  // namespace sluice
