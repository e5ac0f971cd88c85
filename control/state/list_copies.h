// Copies of the files of blocklist and allow-list, in the state folder: the lists of the last good configuration. An
// agent that cannot use a file starts with the copy, so a firewall does not come up without its list.
//
//   Stage() ─► candidate ─► Keep(), when the configuration is final ─► last good one
//                  └──────► Drop()
//
// Stage() is for any thread, the others for the loop's; never two calls about one list at a time.
#ifndef SLUICE_CONTROL_STATE_LIST_COPIES_H_
#define SLUICE_CONTROL_STATE_LIST_COPIES_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// `list`: "blocklist" or "allowlist".
class ListCopies {
 public:
  explicit ListCopies(std::string folder) : folder_(std::move(folder)) {}

  std::string last_good_path(absl::string_view list) const;
  // Writes the candidate; none when the text is that of the last good copy.
  absl::Status Stage(absl::string_view list, absl::string_view text) const;
  // Both for all lists. Keep() makes each candidate that there is the last good copy. They go on past errors and return
  // the first.
  absl::Status Keep() const;
  absl::Status Drop() const;

 private:
  std::string CandidatePath(absl::string_view list) const;

  std::string folder_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_STATE_LIST_COPIES_H_
