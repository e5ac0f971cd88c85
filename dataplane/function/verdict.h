// The verdict of a network function on one frame. Two bytes, trivially copyable. A frame without one is dropped with
// kFunction.
//
//   Transmit(port)   leaves by that port
//   Drop(reason)     is dropped and counted under the reason, one of ours or one of the function's own
//   ToKernel()       enters the guest's kernel as if it had just arrived on the port it came from; counted as passed
//   Hold()           stays with the lane until the function releases it (LaneContext::Hold); counted as held
#ifndef SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
#define SLUICE_DATAPLANE_FUNCTION_VERDICT_H_

#include <cstdint>

#include "dataplane/contract/stats_segment.h"

namespace sluice {

class Verdict {
 public:
  enum class Kind : uint8_t { kDrop, kTransmit, kToKernel, kHold };

  constexpr Verdict() : Verdict(Kind::kDrop, static_cast<uint8_t>(DropReason::kFunction)) {}
  static constexpr Verdict Transmit(uint32_t port) { return Verdict(Kind::kTransmit, static_cast<uint8_t>(port)); }
  static constexpr Verdict Drop(DropReason reason) { return Verdict(Kind::kDrop, static_cast<uint8_t>(reason)); }
  // `reason`: its place in the descriptor's drop_reasons.
  static constexpr Verdict DropFor(uint32_t reason) {
    return Verdict(Kind::kDrop, static_cast<uint8_t>(kDropReasons + reason));
  }
  static constexpr Verdict ToKernel() { return Verdict(Kind::kToKernel, 0); }
  static constexpr Verdict Hold() { return Verdict(Kind::kHold, 0); }

  constexpr Kind kind() const { return kind_; }
  constexpr bool transmits() const { return kind_ == Kind::kTransmit; }
  // When it transmits.
  constexpr uint32_t port() const { return detail_; }
  // When it drops: an index into LanePortStats::drops.
  constexpr uint32_t drop_index() const { return detail_; }

  friend constexpr bool operator==(const Verdict&, const Verdict&) = default;

 private:
  constexpr Verdict(Kind kind, uint8_t detail) : kind_(kind), detail_(detail) {}

  Kind kind_;
  uint8_t detail_;
};

static_assert(sizeof(Verdict) == 2);
static_assert(kDropReasons + kMaxFunctionDropReasons <= 256, "fits a byte");

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
