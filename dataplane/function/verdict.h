// What a network function decides about one frame: send it out of a port, or drop it for a reason.
// Two bytes, trivially copyable. A frame nobody decided about is dropped with kFunction.
#ifndef SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
#define SLUICE_DATAPLANE_FUNCTION_VERDICT_H_

#include <cstdint>

#include "dataplane/contract/stats_segment.h"

namespace sluice {

class Verdict {
 public:
  constexpr Verdict() : Verdict(false, static_cast<uint8_t>(DropReason::kFunction)) {}
  static constexpr Verdict Transmit(uint32_t port) { return Verdict(true, static_cast<uint8_t>(port)); }
  static constexpr Verdict Drop(DropReason reason) { return Verdict(false, static_cast<uint8_t>(reason)); }

  constexpr bool transmits() const { return transmits_; }
  constexpr uint32_t port() const { return detail_; }                               // when it transmits
  constexpr DropReason reason() const { return static_cast<DropReason>(detail_); }  // when it does not

  friend constexpr bool operator==(const Verdict&, const Verdict&) = default;

 private:
  constexpr Verdict(bool transmits, uint8_t detail) : transmits_(transmits), detail_(detail) {}

  bool transmits_;
  uint8_t detail_;  // port, or DropReason
};

static_assert(sizeof(Verdict) == 2);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
