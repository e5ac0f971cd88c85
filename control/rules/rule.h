// A steering rule, as compiled from what the user wrote (control/rules/rules.h). It matches a packet when all
// fields that it names do.
#ifndef SLUICE_CONTROL_RULES_RULE_H_
#define SLUICE_CONTROL_RULES_RULE_H_

#include <cstdint>

#include "bpf/sluice_abi.h"

namespace sluice {

struct SteeringRule {
  uint32_t match = 0;   // enum sluice_match: the fields it names
  uint32_t action = 0;  // enum sluice_action
  __be16 ethertype_be = 0;
  uint16_t vlan = 0;            // host order, 0..4095
  uint8_t proto = 0;            // IPPROTO_*
  uint8_t family = 0;           // 4 or 6, of src and dst when they are named; 0 otherwise
  uint16_t src_port_first = 0;  // host order, inclusive ranges
  uint16_t src_port_last = 0;
  uint16_t dst_port_first = 0;
  uint16_t dst_port_last = 0;
  __be32 src_be[4] = {};  // IPv4 in element 0
  __be32 src_mask_be[4] = {};
  __be32 dst_be[4] = {};
  __be32 dst_mask_be[4] = {};
};

}  // namespace sluice

#endif  // SLUICE_CONTROL_RULES_RULE_H_
