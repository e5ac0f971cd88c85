// A page of a function's answer, as the message that goes to the agent.
//
// Agent and sluicectl rely on a page to be of its command's columns and to fit a message, so a page that is not is an
// error here, however it came about. Pure.
#ifndef SLUICE_DATAPLANE_PROCESS_FUNCTION_PAGE_H_
#define SLUICE_DATAPLANE_PROCESS_FUNCTION_PAGE_H_

#include "absl/status/statusor.h"
#include "dataplane/contract/dataplane.pb.h"
#include "dataplane/function/descriptor.h"
#include "dataplane/function/network_function.h"

namespace sluice {

// `page` answers `query`. ResourceExhausted for a page that fits no message; Internal for one of other columns, of more
// rows than asked for, or with a cursor longer than kMaxCursorBytes.
absl::StatusOr<dataplane::FunctionPage> MakeFunctionPage(const Query& query, const Page& page);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_PROCESS_FUNCTION_PAGE_H_
