// Answers requests about the blocklist and the allow-list. One thread, the agent's loop.
#ifndef SLUICE_CONTROL_SERVE_LIST_REQUESTS_H_
#define SLUICE_CONTROL_SERVE_LIST_REQUESTS_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "control/serve/list_load.h"
#include "control/serve/served.h"
#include "control/wire/sluice.pb.h"

namespace sluice {

absl::StatusOr<wire::BlocklistResponse> ShowList(const wire::BlocklistRequest& request, const Served& served);
// Changes a list, but for `replace`, which takes seconds: list_load.h has the thread that does the work. An error has
// changed nothing. FailedPrecondition, unless it is forced, for a list that blocks everything or an address that the
// machine or the operator needs (steering/list_guard.h).
absl::StatusOr<wire::BlocklistResponse> ChangeList(const wire::ChangeBlocklistRequest& request, const Served& served);
// Refuses a load that would be refused at its end.
absl::Status CheckMayLoad(const Served& served);
// Returns the job that loads the list of a request with `replace`. Errors are those of ParseSourceList and
// SourceList::Make.
ListLoad::Job JobOf(std::shared_ptr<const wire::ChangeBlocklistRequest> request);
// Puts the loaded list in force, in one step. Errors as ChangeList; and FailedPrecondition for a list that is empty or
// shorter than wanted.
absl::StatusOr<wire::BlocklistResponse> PutLoadedList(const wire::ChangeBlocklistRequest& request, LoadedLists loaded,
                                                      const Served& served);
// Returns an error, as ChangeList does, for lists of a configuration that must not be put in force. `logins`: addresses
// from which the operator is logged in.
absl::Status CheckLists(const LoadedLists& loaded, const google::protobuf::RepeatedPtrField<std::string>& logins,
                        const Served& served);

}  // namespace sluice

#endif  // SLUICE_CONTROL_SERVE_LIST_REQUESTS_H_
