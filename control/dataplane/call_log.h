// Times the calls within one step of a resize: to the kernel, to the dataplane, and waits for either. One thread.
#ifndef SLUICE_CONTROL_DATAPLANE_CALL_LOG_H_
#define SLUICE_CONTROL_DATAPLANE_CALL_LOG_H_

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "dataplane/base/steady_time.h"

namespace sluice {

struct TimedCall {
  std::string name;
  absl::Duration took;
  uint32_t times = 0;
};

class CallLog {
 public:
  // Returns what `call()` returns. Calls of one name are added up.
  template <typename Call>
  auto Time(std::string name, Call call) {
    struct Entry {
      CallLog* log;
      std::string name;
      SteadyTime start = SteadyTime::Now();
      ~Entry() { log->Add(std::move(name), SteadyTime::Now() - start); }
    };
    const Entry entry{this, std::move(name)};
    return call();
  }
  // Returns them in the order of each name's first call, and forgets them.
  std::vector<TimedCall> Take() { return std::exchange(calls_, {}); }

 private:
  void Add(std::string name, absl::Duration took) {
    auto call = std::find_if(calls_.begin(), calls_.end(), [&](const TimedCall& one) { return one.name == name; });
    if (call == calls_.end()) {
      call = calls_.insert(call, {std::move(name), {}, 0});
    }
    call->took += took;
    ++call->times;
  }

  std::vector<TimedCall> calls_;
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_DATAPLANE_CALL_LOG_H_
