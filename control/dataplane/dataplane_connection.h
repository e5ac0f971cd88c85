// A connection to a dataplane, as far as requests go. DataplaneLink is the real one; tests put a dataplane in memory in
// its place. One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_DATAPLANE_CONNECTION_H_
#define SLUICE_CONTROL_DATAPLANE_DATAPLANE_CONNECTION_H_

#include <sys/types.h>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "dataplane/base/steady_time.h"
#include "dataplane/contract/dataplane.pb.h"

namespace sluice {

// Tells an error of the connection from one that the dataplane answered.
inline bool SaysLinkIsBroken(const absl::Status& s) {
  return absl::IsUnavailable(s) || absl::IsDeadlineExceeded(s) || absl::IsDataLoss(s);
}

class DataplaneConnection {
 public:
  virtual ~DataplaneConnection() = default;

  virtual bool connected() const = 0;
  // The dataplane's process; 0 while none is connected.
  virtual pid_t pid() const = 0;
  // Tells every now and then, while a call waits, whether that still makes sense; an error ends the wait.
  using StillWorks = absl::FunctionRef<absl::Status()>;

  // Sends `request` (its id is set here) and waits for the reply. Returns the reply's error, or one for which
  // SaysLinkIsBroken() holds: Unavailable when the dataplane is gone; DeadlineExceeded when it does not answer, or with
  // the text of `still_works`, and DataLoss when its answer is none: Drop() it then. A reply with one of these codes
  // becomes Internal. `fds` stay the caller's. `reply` gets the answer.
  virtual absl::Status Call(dataplane::Request request, absl::Span<const int> fds, SteadyTime deadline,
                            StillWorks still_works, dataplane::Reply& reply) = 0;
  // Forgets the connection and makes sure that the process is gone: kills it when it has not ended by itself within
  // `grace`.
  virtual void Drop(absl::Duration grace) = 0;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_DATAPLANE_CONNECTION_H_
