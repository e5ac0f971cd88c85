// SPDX-License-Identifier: Apache-2.0
//
// The fixture of all BPF tests: loads the four objects into the running kernel, lets them share their maps as on a
// port, and runs them packet by packet with BPF_PROG_TEST_RUN.
//
// A run's outcome is a line: what the program returned and which counters moved, such as
// "PASS NO_SOCKET", "DROP MALFORMED" or "PASS -" (nothing counted).
#ifndef SLUICE_TESTS_BPF_PROGRAMS_H_
#define SLUICE_TESTS_BPF_PROGRAMS_H_

#include <gtest/gtest.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bpf/sluice_abi.h"
#include "control/rules/rule.h"
#include "tests/lib/packet.h"

struct sluice_steer;
struct sluice_bridge;
struct sluice_bridge_rx;
struct sluice_to_kernel;

namespace sluice::bpf_test {

// Builds a rule: Rule().proto(6).dst_port(22).pass().
class Rule {
 public:
  Rule& ethertype(uint16_t type);
  Rule& vlan(uint16_t id);
  Rule& proto(uint8_t number);
  Rule& src(const std::string& prefix);  // "10.0.0.0/8", "2001:db8::/32"
  Rule& dst(const std::string& prefix);
  Rule& src_port(uint16_t first, std::optional<uint16_t> last = {});
  Rule& dst_port(uint16_t first, std::optional<uint16_t> last = {});
  Rule& fragment(uint8_t first, std::optional<uint8_t> last = {});  // enum sluice_fragment
  Rule& dataplane() { return action(SLUICE_ACTION_DATAPLANE); }
  Rule& pass() { return action(SLUICE_ACTION_PASS); }
  Rule& both() { return action(SLUICE_ACTION_BOTH); }
  Rule& drop() { return action(SLUICE_ACTION_DROP); }
  Rule& action(uint32_t action) { return rule_.action = action, *this; }
  operator RuleConfig() const { return rule_; }

 private:
  RuleConfig rule_;
};

struct TcContext {
  uint32_t gso_segs = 0;
  uint32_t gso_size = 0;
  std::array<uint32_t, SLUICE_TOKEN_WORDS> token{};  // the first words of skb->cb
};

class Programs : public ::testing::Test {
 protected:
  // Skips the test if the kernel does not let us load BPF. All maps start zeroed, except for `config_` (ACTIVE).
  void SetUp() override;
  // The same, in network and mount namespaces of the test's own, with the devices that the shell command makes there.
  void SetUpDevices(const std::string& command);

  // The port's configuration; apply() writes it to the map.
  sluice_config config_ = {};
  void apply();
  void set_rules(const std::vector<RuleConfig>& rules, uint32_t bank = 0);  // calls apply()
  // Puts a list of sources in force; none: no list.
  void block(const std::vector<std::string>& prefixes) { put_list(SLUICE_LIST_BLOCK, prefixes); }
  void allow(const std::vector<std::string>& prefixes) { put_list(SLUICE_LIST_ALLOW, prefixes); }
  void put_list(uint32_t list, const std::vector<std::string>& prefixes);
  void add_local(const std::string& address, sluice_local kind = SLUICE_LOCAL_ADDRESS);

  std::string xdp(const Bytes& packet, uint32_t ifindex = 0, uint32_t queue = 0);
  std::string tc(const Bytes& packet, TcContext context = {});
  // Runs both hooks. Returns "dataplane", "pass", "both", "drop", "malformed", "blocked", "unreadable" or "fragment" if
  // they agree, or else both outcomes.
  std::string verdict(const Bytes& packet);
  std::string bridge_rx(const Bytes& packet, uint32_t ifindex = 0);
  std::string to_kernel(const Bytes& packet);

  sluice_counters counters(uint32_t queue) const;  // summed over CPUs
  sluice_counters all_counters() const;            // summed over CPUs and queues
  sluice_rule_hits rule_hits(uint32_t bank, uint32_t rule) const;
  void clear_counters();

  sluice_steer* steer() const;
  sluice_bridge* bridge() const;
  sluice_bridge_rx* bridge_receiver() const;
  sluice_to_kernel* near_end() const;
  sluice_to_kernel_counters to_kernel_counters() const;

 private:
  std::string counted_since(const sluice_counters& before) const;
};

}  // namespace sluice::bpf_test

#endif  // SLUICE_TESTS_BPF_PROGRAMS_H_
