#include "control/serve/verdict_names.h"

namespace sluice {

// Without a default, so that the compiler names a verdict that is missing here.
const char* VerdictName(sluice_verdict verdict) {
  switch (verdict) {
    case SLUICE_VERDICT_DATAPLANE:
      return "dataplane";
    case SLUICE_VERDICT_PASS:
      return "pass";
    case SLUICE_VERDICT_DROP:
      return "drop";
    case SLUICE_VERDICT_NO_SOCKET:
      return "no_socket";
    case SLUICE_VERDICT_MALFORMED:
      return "malformed";
    case SLUICE_VERDICT_BRIDGED:
      return "bridged";
    case SLUICE_VERDICT_DOWN_PASS:
      return "down_pass";
    case SLUICE_VERDICT_DOWN_DROP:
      return "down_drop";
    case SLUICE_VERDICT_BLOCKED:
      return "blocked";
    case SLUICE_VERDICT_OFFLOADED:
      return "offloaded";
    case SLUICE_VERDICT_OVERLOADED:
      return "overloaded";
    case SLUICE_VERDICT_UNREADABLE:
      return "unreadable";
    case SLUICE_VERDICT_FRAGMENT:
      return "fragment";
    case SLUICE_VERDICT_BOTH:
      return "both";
    case SLUICE_VERDICT_COUNT:
      break;
  }
  return "";
}

bool LeavesXdp(sluice_verdict verdict) {
  switch (verdict) {
    case SLUICE_VERDICT_DATAPLANE:
    case SLUICE_VERDICT_PASS:
    case SLUICE_VERDICT_NO_SOCKET:
    case SLUICE_VERDICT_BRIDGED:
    case SLUICE_VERDICT_BOTH:
    case SLUICE_VERDICT_DOWN_PASS:
    case SLUICE_VERDICT_DOWN_DROP:
    case SLUICE_VERDICT_OFFLOADED:
      return true;
    case SLUICE_VERDICT_DROP:
    case SLUICE_VERDICT_MALFORMED:
    case SLUICE_VERDICT_BLOCKED:
    case SLUICE_VERDICT_OVERLOADED:
    case SLUICE_VERDICT_UNREADABLE:
    case SLUICE_VERDICT_FRAGMENT:
    case SLUICE_VERDICT_COUNT:
      break;
  }
  return false;
}

}  // namespace sluice
