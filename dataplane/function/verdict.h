// A network function's decision about one frame: send it out of a port, drop it for a reason, or give it to the kernel,
// which finds it as if it had just arrived on the port it was received on (lane/kernel_path.h).
//
// Two bytes, trivially copyable. A frame nobody decided about is dropped with kFunction.
#ifndef SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
#define SLUICE_DATAPLANE_FUNCTION_VERDICT_H_

#include <cstdint>

#include "dataplane/contract/stats_segment.h"

namespace sluice {

class Verdict {
 public:
  constexpr Verdict() : Verdict(Kind::kDrop, static_cast<uint8_t>(DropReason::kFunction)) {}
  static constexpr Verdict Transmit(uint32_t port) { return Verdict(Kind::kTransmit, static_cast<uint8_t>(port)); }
  static constexpr Verdict Drop(DropReason reason) { return Verdict(Kind::kDrop, static_cast<uint8_t>(reason)); }
  static constexpr Verdict ToKernel() { return Verdict(Kind::kToKernel, 0); }

  constexpr bool transmits() const { return kind_ == Kind::kTransmit; }
  constexpr bool drops() const { return kind_ == Kind::kDrop; }
  constexpr bool goes_to_kernel() const { return kind_ == Kind::kToKernel; }
  constexpr uint32_t port() const { return detail_; }                               // when it transmits
  constexpr DropReason reason() const { return static_cast<DropReason>(detail_); }  // when it drops

  constexpr bool operator==(const Verdict&) const = default;

 private:
  enum class Kind : uint8_t { kDrop, kTransmit, kToKernel };

  constexpr Verdict(Kind kind, uint8_t detail) : kind_(kind), detail_(detail) {}

  Kind kind_;
  uint8_t detail_;  // port, or DropReason
};

static_assert(sizeof(Verdict) == 2);

}  // namespace sluice

#endif  // SLUICE_DATAPLANE_FUNCTION_VERDICT_H_
