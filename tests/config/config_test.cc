#include "control/config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

constexpr const char* kPort = "[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\n";
constexpr const char* kReflect = "[function]\ntype = \"reflect\"\n";

std::string Ports(int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    absl::StrAppend(&text, "[[port]]\nname = \"p", i, "\"\nnetdev = \"eth", i, "\"\n");
  }
  return text;
}

std::string Rule(const std::string& fields) {
  return absl::StrCat(kPort, kReflect, "[[rule]]\n", fields);
}

struct Bad {
  const char* name;
  std::string text;
  std::string problems;  // the whole message
};

void PrintTo(const Bad& bad, std::ostream* out) {
  *out << bad.name;
}

class BadConfigTest : public testing::TestWithParam<Bad> {};

TEST_P(BadConfigTest, EachProblemWithItsLine) {
  const absl::StatusOr<Config> config = ParseConfig(GetParam().text, "f");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(std::string(config.status().message()), GetParam().problems);
}

const Bad kBad[] = {
    {"Empty", "",
     "f:1: port: missing; allowed: one to four tables [[port]] with name and netdev\n"
     "f:1: function: missing; allowed: a table [function] with type = one of " +
         FunctionNames()},
    {"UnknownTable", absl::StrCat(kPort, kReflect, "[dataplan]\n"),
     "f:6: dataplan: unknown key; allowed: port, dataplane, function, metrics, blocklist, allowlist, rule"},
    {"UnknownKeys",
     absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth1\"\nmtu = 9\n", kReflect, "x = 1\n[dataplane]\nmod = 1\n"),
     "f:4: port.mtu: unknown key; allowed: name, netdev, on_dataplane_down\n"
     "f:7: function.x: unknown key; allowed: type\n"
     "f:9: dataplane.mod: unknown key; allowed: queue_pairs, queue_pairs_min, queue_pairs_max, mode, cores, workers, "
     "poll, offload, offload_flows"},
    {"PortIsNoList", absl::StrCat("[port]\nname = \"wan\"\n", kReflect),
     "f:1: port: must be a list of tables, each written [[port]], not of type table\n"
     "f:4: function.type: function \"reflect\" works on 1 to 4 ports, not on 0"},
    {"PortWithoutNames", absl::StrCat("[[port]]\n", kReflect),
     "f:1: port.name: missing; allowed: a name of your own, such as \"wan\"\n"
     "f:1: port.netdev: missing; allowed: a network device's name, such as \"eth0\""},
    {"PortName", absl::StrCat("[[port]]\nname = \"w n\"\nnetdev = \"eth1\"\n", kReflect),
     "f:2: port.name: 'w n' is not allowed; allowed: 1 to 32 letters, digits, '-' and '_'"},
    {"NewlineInAValueStaysOneLine", absl::StrCat("[[port]]\nname = \"w\\nn\"\nnetdev = \"eth1\"\n", kReflect),
     "f:2: port.name: 'w\\x0an' is not allowed; allowed: 1 to 32 letters, digits, '-' and '_'"},
    {"NetdevTooLong", absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"eth4567890123456\"\n", kReflect),
     "f:3: port.netdev: 'eth4567890123456' is not allowed; allowed: a network device's name, 1 to 15 characters "
     "without spaces, '/', ':' and '%'"},
    {"NetdevCharacters", absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = \"a/b\"\n", kReflect),
     "f:3: port.netdev: 'a/b' is not allowed; allowed: a network device's name, 1 to 15 characters without spaces, "
     "'/', ':' and '%'"},
    {"NetdevType", absl::StrCat("[[port]]\nname = \"wan\"\nnetdev = 1\n", kReflect),
     "f:3: port.netdev: must be a string, not of type integer"},
    {"OnDataplaneDown", absl::StrCat(kPort, "on_dataplane_down = \"wait\"\n", kReflect),
     "f:4: port.on_dataplane_down: 'wait' is not allowed; allowed: pass, drop, hold"},
    {"SameName", absl::StrCat(kPort, "[[port]]\nname = \"wan\"\nnetdev = \"eth2\"\n", kReflect),
     "f:5: port.name: 'wan' is taken by the port of line 2"},
    {"SameNetdev", absl::StrCat(kPort, "[[port]]\nname = \"lan\"\nnetdev = \"eth1\"\n", kReflect),
     "f:6: port.netdev: 'eth1' is taken by the port of line 3"},
    {"FivePorts", absl::StrCat(Ports(5), kReflect),
     "f:1: port: 5 ports; at most 4 are allowed\n"
     "f:17: function.type: function \"reflect\" works on 1 to 4 ports, not on 5"},
    {"ForwardOnePort", absl::StrCat(kPort, "[function]\ntype = \"forward\"\n"),
     "f:5: function.type: function \"forward\" works on 2 ports, not on 1"},
    {"ForwardThreePorts", absl::StrCat(Ports(3), "[function]\ntype = \"forward\"\n"),
     "f:11: function.type: function \"forward\" works on 2 ports, not on 3"},
    {"FunctionType", absl::StrCat(kPort, "[function]\ntype = \"nosuch\"\n"),
     "f:5: function.type: 'nosuch' is not allowed; allowed: " + FunctionNames()},
    {"UnknownFunctionsKeysAreLeftAlone", absl::StrCat(kPort, "[function]\ntype = \"nosuch\"\nlimit = 1\n"),
     "f:5: function.type: 'nosuch' is not allowed; allowed: " + FunctionNames()},
    {"FunctionWithoutType", absl::StrCat(kPort, "[function]\n"),
     "f:4: function.type: missing; allowed: " + FunctionNames()},
    {"FunctionIsNoTable", absl::StrCat("function = \"reflect\"\n", kPort),
     "f:1: function: must be a table, written [function], not of type string"},
    {"QueuePairsType", absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = \"2\"\n"),
     "f:7: dataplane.queue_pairs: '2' is not allowed; allowed: an integer 1..64, or \"auto\""},
    {"QueuePairsZero", absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = 0\n"),
     "f:7: dataplane.queue_pairs: 0 is not allowed; allowed: an integer 1..64, or \"auto\""},
    {"QueuePairsLarge", absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = 65\n"),
     "f:7: dataplane.queue_pairs: 65 is not allowed; allowed: an integer 1..64, or \"auto\""},
    {"QueuePairsFarTooLarge", absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = 4294967297\n"),
     "f:7: dataplane.queue_pairs: 4294967297 is not allowed; allowed: an integer 1..64, or \"auto\""},
    {"QueuePairsFloat", absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = 1.5\n"),
     "f:7: dataplane.queue_pairs: must be an integer 1..64, or \"auto\", not of type floating-point"},
    {"QueuePairsBoundsCross",
     absl::StrCat(kPort, kReflect, "[dataplane]\nqueue_pairs = \"auto\"\nqueue_pairs_min = 3\nqueue_pairs_max = 2\n"),
     "f:8: dataplane.queue_pairs_min: 3 is more than queue_pairs_max = 2"},
    {"Mode", absl::StrCat(kPort, kReflect, "[dataplane]\nmode = \"zero-copy\"\n"),
     "f:7: dataplane.mode: 'zero-copy' is not allowed; allowed: auto, zerocopy, copy, skb"},
    {"Poll", absl::StrCat(kPort, kReflect, "[dataplane]\npoll = true\n"),
     "f:7: dataplane.poll: must be a string, not of type boolean"},
    {"PollValue", absl::StrCat(kPort, kReflect, "[dataplane]\npoll = \"napi\"\n"),
     "f:7: dataplane.poll: 'napi' is not allowed; allowed: adaptive, busy, interrupt"},
    {"WorkersZero", absl::StrCat(kPort, kReflect, "[dataplane]\nworkers = 0\n"),
     "f:7: dataplane.workers: 0 is not allowed; allowed: an integer 1..64"},
    {"WorkersFloat", absl::StrCat(kPort, kReflect, "[dataplane]\nworkers = 1.5\n"),
     "f:7: dataplane.workers: must be an integer 1..64, not of type floating-point"},
    {"MoreWorkersThanCores", absl::StrCat(kPort, kReflect, "[dataplane]\nworkers = 3\ncores = [0, 1]\n"),
     "f:7: dataplane.workers: 3 workers on 2 cores; each needs a core of its own"},
    {"MetricsName", absl::StrCat(kPort, kReflect, "[metrics]\nlisten = \"localhost:9477\"\n"),
     "f:7: metrics.listen: 'localhost:9477' is not allowed; allowed: \"off\", or an IP address and a port, such as "
     "\"127.0.0.1:9477\" or \"[::1]:9477\""},
    {"MetricsType", absl::StrCat(kPort, kReflect, "[metrics]\nlisten = 9477\n"),
     "f:7: metrics.listen: must be a string, not of type integer"},
    {"MetricsKey", absl::StrCat(kPort, kReflect, "[metrics]\nport = 9477\n"),
     "f:7: metrics.port: unknown key; allowed: listen"},
    {"CoresType", absl::StrCat(kPort, kReflect, "[dataplane]\ncores = 2\n"),
     "f:7: dataplane.cores: must be a list of different integers 0..8191, not of type integer"},
    {"CoresElementType", absl::StrCat(kPort, kReflect, "[dataplane]\ncores = [0, \"1\"]\n"),
     "f:7: dataplane.cores: must be a list of different integers 0..8191, not of type string"},
    {"CoresTwice", absl::StrCat(kPort, kReflect, "[dataplane]\ncores = [1, 0, 1]\n"),
     "f:7: dataplane.cores: 1 is there twice; allowed: a list of different integers 0..8191"},
    {"CoresNegative", absl::StrCat(kPort, kReflect, "[dataplane]\ncores = [-1]\n"),
     "f:7: dataplane.cores: -1 is not allowed; allowed: a list of different integers 0..8191"},
    {"CoresEmpty", absl::StrCat(kPort, kReflect, "[dataplane]\ncores = []\n"),
     "f:7: dataplane.cores: an empty list is not allowed; name at least one, or leave the key out"},
    {"RuleWithoutAction", Rule("proto = \"tcp\"\n"), "f:6: rule.action: missing; allowed: dataplane, pass, both, drop"},
    {"RuleUnknownKey", Rule("action = \"pass\"\nsport = 1\n"),
     "f:8: rule.sport: unknown key; allowed: proto, src, dst, src_port, dst_port, fragment, vlan, ethertype, in_port, "
     "action"},
    {"RuleWrongType", Rule("action = \"pass\"\nvlan = true\nproto = 1.5\n"),
     "f:8: rule.vlan: must be a string or an integer, not of type boolean\n"
     "f:9: rule.proto: must be a string or an integer, not of type floating-point"},
    {"RuleActionWrongType", Rule("action = [1]\n"),
     "f:7: rule.action: must be a string or an integer, not of type array"},
    {"RuleInPort", Rule("action = \"pass\"\nin_port = \"lan\"\n"), "f:8: rule.in_port: 'lan' is no port; allowed: wan"},
    {"RuleValuesOfTheRuleParser", Rule("action = \"allow\"\nsrc = \"10.0.0.1/8\"\ndst_port = 70000\n"),
     "f:7: rule.action: 'allow' is not allowed; allowed: dataplane, pass, both, drop\n"
     "f:8: rule.src: '10.0.0.1/8' has bits beyond the prefix; 10.0.0.0/8 is allowed\n"
     "f:9: rule.dst_port: '70000' is not allowed; allowed: a number 0..65535 or FIRST-LAST"},
};
INSTANTIATE_TEST_SUITE_P(Config, BadConfigTest, testing::ValuesIn(kBad),
                         [](const auto& info) { return std::string(info.param.name); });

// The text behind the line number is the TOML library's.
TEST(ConfigTest, TextThatIsNotTomlIsNamedByItsLine) {
  for (const char* text : {"x = 1\n[[port\n", "x = 1\nx = 2\n", "\nx = \n"}) {
    const absl::StatusOr<Config> config = ParseConfig(text, "f");
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_THAT(std::string(config.status().message()), testing::StartsWith("f:2: not TOML: ")) << text;
  }
}

TEST(ConfigTest, DefaultsAreTheHeaders) {
  const absl::StatusOr<Config> config = ParseConfig(absl::StrCat(kPort, kReflect), "f");
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->ports.size(), 1u);
  EXPECT_EQ(config->ports[0].name, "wan");
  EXPECT_EQ(config->ports[0].netdev, "eth1");
  EXPECT_EQ(config->ports[0].on_dataplane_down, OnDataplaneDown::kPass);
  EXPECT_EQ(config->dataplane.queue_pairs.count, 1u);
  EXPECT_EQ(config->dataplane.mode, ModeSetting::kAuto);
  EXPECT_TRUE(config->dataplane.cores.empty());
  EXPECT_FALSE(config->dataplane.workers.has_value());
  EXPECT_EQ(config->dataplane.poll, PollSetting::kAdaptive);
  EXPECT_EQ(config->function.type, "reflect");
  EXPECT_TRUE(config->rules.empty());
}

// Repeats the table's pairs of word and enumerator: no other test notices if two words of a key are swapped.
TEST(ConfigTest, EveryWordIsItsEnumerator) {
  const auto read = [](const std::string& port, const std::string& dataplane) {
    const absl::StatusOr<Config> config =
        ParseConfig(absl::StrCat(kPort, port, "\n", kReflect, "[dataplane]\n", dataplane, "\n"), "f");
    EXPECT_TRUE(config.ok()) << config.status();
    return config.ok() ? *config : Config();
  };
  const std::pair<const char*, OnDataplaneDown> downs[] = {
      {"pass", OnDataplaneDown::kPass}, {"drop", OnDataplaneDown::kDrop}, {"hold", OnDataplaneDown::kHold}};
  for (const auto& [word, value] : downs) {
    EXPECT_EQ(read(absl::StrCat("on_dataplane_down = \"", word, "\""), "").ports.at(0).on_dataplane_down, value);
  }
  const std::pair<const char*, ModeSetting> modes[] = {{"auto", ModeSetting::kAuto},
                                                       {"zerocopy", ModeSetting::kZeroCopy},
                                                       {"copy", ModeSetting::kCopy},
                                                       {"skb", ModeSetting::kSkb}};
  for (const auto& [word, value] : modes) {
    EXPECT_EQ(read("", absl::StrCat("mode = \"", word, "\"")).dataplane.mode, value);
  }
  const std::pair<const char*, PollSetting> polls[] = {
      {"adaptive", PollSetting::kAdaptive}, {"busy", PollSetting::kBusy}, {"interrupt", PollSetting::kInterrupt}};
  for (const auto& [word, value] : polls) {
    EXPECT_EQ(read("", absl::StrCat("poll = \"", word, "\"")).dataplane.poll, value);
  }
  const std::pair<const char*, OffloadSetting> offloads[] = {
      {"auto", OffloadSetting::kAuto}, {"on", OffloadSetting::kOn}, {"off", OffloadSetting::kOff}};
  for (const auto& [word, value] : offloads) {
    EXPECT_EQ(read("", absl::StrCat("offload = \"", word, "\"")).dataplane.offload, value);
  }
}

TEST(ConfigTest, QueuePairsAreANumberOrFollowTheLoad) {
  const auto read = [](const std::string& dataplane) {
    return ParseConfig(absl::StrCat(kPort, kReflect, "[dataplane]\n", dataplane), "f")->dataplane;
  };
  EXPECT_FALSE(read("queue_pairs = 3\n").queue_pairs.automatic());
  EXPECT_EQ(read("queue_pairs = 3\nqueue_pairs_min = 2\n").FirstPairs(), 3U);
  EXPECT_TRUE(read("queue_pairs = \"auto\"\n").queue_pairs.automatic());
  EXPECT_EQ(read("queue_pairs = \"auto\"\n").FirstPairs(), 1U);
  EXPECT_FALSE(read("queue_pairs = \"auto\"\n").queue_pairs_max.has_value());
  EXPECT_EQ(read("queue_pairs = \"auto\"\nqueue_pairs_min = 2\nqueue_pairs_max = 4\n").FirstPairs(), 2U);
}

TEST(ConfigTest, WhereMetricsAre) {
  const auto listen = [](const std::string& value) {
    const absl::StatusOr<Config> config =
        ParseConfig(absl::StrCat(kPort, kReflect, "[metrics]\nlisten = \"", value, "\"\n"), "f");
    if (!config.ok()) {
      return std::string("refused");
    }
    const MetricsConfig& metrics = config->metrics;
    return metrics.wanted ? absl::StrCat(metrics.listen->host, " ", metrics.listen->port) : "off";
  };
  EXPECT_TRUE(ParseConfig(absl::StrCat(kPort, kReflect), "f")->metrics.wanted);
  EXPECT_FALSE(ParseConfig(absl::StrCat(kPort, kReflect), "f")->metrics.listen.has_value());
  EXPECT_EQ(listen("off"), "off");
  EXPECT_EQ(listen("127.0.0.1:9477"), "127.0.0.1 9477");
  EXPECT_EQ(listen("0.0.0.0:1"), "0.0.0.0 1");
  EXPECT_EQ(listen("[::1]:65535"), "::1 65535");
  EXPECT_EQ(listen("[2001:db8::1]:80"), "2001:db8::1 80");
  for (const char* bad : {"", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:80s",
                          "127.0.0.1:-1", "::1:80", "[127.0.0.1]:80", "127.0.0.1:80,127.0.0.1:81", "[::1]80"}) {
    EXPECT_EQ(listen(bad), "refused") << bad;
  }
}

TEST(ConfigTest, TheExampleIsGood) {
  const absl::StatusOr<Config> config = LoadConfig(SLUICE_EXAMPLE);
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->ports.size(), 2u);
  EXPECT_EQ(config->ports[1].on_dataplane_down, OnDataplaneDown::kHold);
  EXPECT_EQ(config->dataplane.queue_pairs.count, 2u);
  EXPECT_THAT(config->dataplane.cores, testing::ElementsAre(0, 1));
  EXPECT_EQ(config->dataplane.workers, 2u);
  EXPECT_EQ(config->function.type, "forward");
  EXPECT_EQ(config->metrics.listen->host, ListenAddress().host);
  EXPECT_EQ(config->metrics.listen->port, ListenAddress().port);
  ASSERT_EQ(config->rules.size(), 4u);
  EXPECT_EQ(config->rules[2].in_port, "wan");
  EXPECT_EQ(config->rules[2].proto, IPPROTO_UDP);
  EXPECT_EQ(config->rules[3].ethertype, 0x88cc);
}

TEST(ConfigTest, AsManyRulesAsThereCanBe) {
  std::string text = absl::StrCat(Ports(2), kReflect);
  for (int i = 0; i < SLUICE_MAX_RULES; ++i) {
    absl::StrAppend(&text, "[[rule]]\nin_port = \"p0\"\naction = \"pass\"\n");
  }
  EXPECT_TRUE(ParseConfig(text, "f").ok());
  absl::StrAppend(&text, "[[rule]]\naction = \"pass\"\n");
  const absl::StatusOr<Config> config = ParseConfig(text, "f");
  ASSERT_FALSE(config.ok());
  EXPECT_EQ(std::string(config.status().message()), "f:3081: rule: one rule too many; at most 1024");
}

TEST(ParseRulesTest, OnlyRulesForThePortsThereAre) {
  const std::vector<PortConfig> ports = {{"wan", "eth0"}};
  const auto rules = ParseRules("[[rule]]\nin_port = \"wan\"\naction = \"drop\"\n", "f", ports);
  ASSERT_TRUE(rules.ok()) << rules.status();
  ASSERT_EQ(rules->size(), 1u);
  EXPECT_EQ((*rules)[0].action, static_cast<uint32_t>(SLUICE_ACTION_DROP));
  EXPECT_EQ((*rules)[0].fields.at("in_port"), "wan");
  EXPECT_TRUE(ParseRules("", "f", ports)->empty());
  EXPECT_EQ(std::string(ParseRules("[[rule]]\nin_port = \"x\"\n\n[function]\n", "f", ports).status().message()),
            "f:1: rule.action: missing; allowed: dataplane, pass, both, drop\n"
            "f:2: rule.in_port: 'x' is no port; allowed: wan\n"
            "f:4: function: unknown key; allowed: rule");
}

TEST(ConfigTest, LoadNamesThePathAndTheReason) {
  EXPECT_EQ(LoadConfig("/nowhere/sluice.toml").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(LoadConfig("/nowhere/sluice.toml").status().message()),
              testing::HasSubstr("/nowhere/sluice.toml"));
  EXPECT_FALSE(LoadConfig("/").ok());
  // Reading an endless file fails before it exhausts the memory.
  EXPECT_THAT(std::string(LoadConfig("/dev/zero").status().message()), testing::HasSubstr("is not a regular file"));
}

}  // namespace
}  // namespace sluice
