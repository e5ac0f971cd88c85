// Makes load samples of the counters: the stats segment, the XDP programs' verdicts, the sockets' statistics. Reads
// only.
//
// A look costs two system calls for each queue of each port that gets traffic. The counters are a stranger's: one that
// went back counts as 0. One thread.
#ifndef SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLER_H_
#define SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLER_H_

#include <cstdint>
#include <optional>

#include "control/autoscale/load_sample.h"
#include "control/resize/resize_objects.h"

namespace sluice {

class LoadSampler {
 public:
  // Returns the load since the last call, of pairs [0, active_pairs); nullopt when there was none, or when it had
  // another number of pairs or workers.
  std::optional<LoadSample> Take(const ResizeObjects& objects, uint32_t active_pairs, int64_t now_ns);
  // Has the next call begin anew.
  void Forget() { last_.reset(); }

 private:
  std::optional<LoadSample> last_;  // counts since the start, in place of differences
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_AUTOSCALE_LOAD_SAMPLER_H_
