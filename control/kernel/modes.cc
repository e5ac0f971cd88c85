#include "control/kernel/modes.h"

namespace sluice {

XdpMode FirstXdpMode(ModeSetting setting) {
  return setting == ModeSetting::kSkb ? XdpMode::kSkb : XdpMode::kNative;
}

bool TakesSkbMode(ModeSetting setting) {
  return setting == ModeSetting::kAuto || setting == ModeSetting::kSkb;
}

const char* Name(XdpMode mode) {
  return mode == XdpMode::kNative ? "native" : "skb";
}

const char* Name(XskMode mode) {
  switch (mode) {
    case XskMode::kZeroCopy:
      return "zerocopy";
    case XskMode::kCopy:
      return "copy";
    case XskMode::kSkb:
      return "skb";
  }
  return "";
}

}  // namespace sluice
