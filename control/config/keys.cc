#include "control/config/keys.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cctype>
#include <iterator>
#include <optional>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/rules/source_list.h"
#include "dataplane/contract/stats_segment.h"
#include "dataplane/functions/catalog.h"

namespace sluice {
namespace {

constexpr uint32_t kMaxCpu = 8191;  // the largest CONFIG_NR_CPUS (x86 with MAXSMP) is 8192

template <typename Enum>
struct EnumWord {
  const char* word;
  Enum value;
  const char* meaning;
};

constexpr EnumWord<OnDataplaneDown> kOnDataplaneDownWords[] = {
    {"pass", OnDataplaneDown::kPass, "to the kernel"},
    {"drop", OnDataplaneDown::kDrop, "nowhere"},
    {"hold", OnDataplaneDown::kHold, "in the rings, for the next dataplane"}};
constexpr EnumWord<ModeSetting> kModeWords[] = {
    {"auto", ModeSetting::kAuto, "zero-copy where it is sound, else copy, else skb"},
    {"zerocopy", ModeSetting::kZeroCopy, "the device reads and writes our memory"},
    {"copy", ModeSetting::kCopy, "the kernel copies"},
    {"skb", ModeSetting::kSkb, "XDP behind the driver; any device"}};
constexpr EnumWord<PollSetting> kPollWords[] = {{"adaptive", PollSetting::kAdaptive, "sleeps when idle"},
                                                {"busy", PollSetting::kBusy, "never sleeps"},
                                                {"interrupt", PollSetting::kInterrupt, "sleeps at once"}};
constexpr EnumWord<OffloadSetting> kOffloadWords[] = {
    {"auto", OffloadSetting::kAuto, "on virtio_net, where nothing speaks against it"},
    {"on", OffloadSetting::kOn, "on any driver, where nothing speaks against it"},
    {"off", OffloadSetting::kOff, "every packet goes through the dataplane"}};

template <const auto& kWords>
std::vector<KeyWord> WordsOf() {
  std::vector<KeyWord> words;
  for (const auto& word : kWords) {
    words.push_back({word.word, word.meaning});
  }
  return words;
}

std::vector<KeyWord> FunctionWords() {
  std::vector<KeyWord> words;
  for (const FunctionDescriptor* function : Functions()) {
    words.push_back({function->name, ""});
  }
  return words;
}

bool IsPortName(const std::string& name) {
  constexpr size_t kMaxChars = 32;  // fits a column of a table; the kernel has no limit
  return !name.empty() && name.size() <= kMaxChars && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '_';
  });
}

// Stricter than net/core/dev.c: dev_valid_name. A '%' would be a pattern (dev_alloc_name), and control characters would
// garble messages. Other bytes are of UTF-8, as TOML is.
bool IsNetdevName(const std::string& name) {
  constexpr size_t kMaxChars = 15;  // IFNAMSIZ less the terminator
  return !name.empty() && name.size() <= kMaxChars && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (std::isgraph(c) != 0 || c >= 0x80) && c != '/' && c != ':' && c != '%';
         });
}

constexpr const char* kListenOff = "off";
constexpr const char* kAutoPairs = "auto";

bool IsPath(const std::string& text) {
  constexpr size_t kMaxChars = 4095;  // PATH_MAX less the terminator
  return text.size() > 1 && text.size() <= kMaxChars && text.front() == '/' &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; });
}
constexpr const char* kPathWords = "an absolute path, such as \"/etc/sluice/list.txt\"";

bool IsListen(const std::string& text) {
  return text == kListenOff || ParseListenAddress(text).has_value();
}

// The two directions between a member and its value in TOML.

KeyValue ToValue(uint32_t number) {
  return number;
}
KeyValue ToValue(const std::optional<uint32_t>& number) {
  return number.has_value() ? KeyValue(*number) : KeyValue();
}
KeyValue ToValue(const QueuePairsSetting& pairs) {
  return pairs.automatic() ? KeyValue(kAutoPairs) : KeyValue(*pairs.count);
}
KeyValue ToValue(const std::string& text) {
  return text;
}
KeyValue ToValue(const std::optional<std::string>& text) {
  return text.has_value() ? KeyValue(*text) : KeyValue();
}
KeyValue ToValue(const std::vector<uint32_t>& numbers) {
  return numbers.empty() ? KeyValue() : KeyValue(numbers);
}
KeyValue ToValue(const MetricsConfig& metrics) {
  if (!metrics.wanted) {
    return kListenOff;
  }
  return metrics.listen.has_value() ? KeyValue(ListenAddressText(*metrics.listen)) : KeyValue();
}

template <typename Member>
void FromValue(const KeyValue& value, Member& member) {
  member = std::get<Member>(value);
}
void FromValue(const KeyValue& value, std::optional<uint32_t>& number) {
  number = std::get<uint32_t>(value);
}
void FromValue(const KeyValue& value, std::optional<std::string>& text) {
  text = std::get<std::string>(value);
}
void FromValue(const KeyValue& value, QueuePairsSetting& pairs) {
  const auto* count = std::get_if<uint32_t>(&value);
  pairs.count = count == nullptr ? std::nullopt : std::make_optional(*count);
}
void FromValue(const KeyValue& value, MetricsConfig& metrics) {
  const std::string& text = std::get<std::string>(value);
  metrics.wanted = text != kListenOff;
  metrics.listen = ParseListenAddress(text);
}

template <typename Part, typename AnyConfig>
auto& PartOf(AnyConfig& config, size_t port) {
  if constexpr (std::is_same_v<Part, PortConfig>) {
    return config.ports[port];
  } else if constexpr (std::is_same_v<Part, DataplaneConfig>) {
    return config.dataplane;
  } else if constexpr (std::is_same_v<Part, FunctionConfig>) {
    return config.function;
  } else {
    static_assert(std::is_same_v<Part, Config>);
    return config;
  }
}

template <auto kMember>
struct MemberOf;
template <typename Class, typename Value, Value Class::*kMember>
struct MemberOf<kMember> {
  using Part = Class;
  using Type = Value;
};

// The member of a part of Config.
template <auto kMember>
constexpr KeyMember At() {
  using Part = typename MemberOf<kMember>::Part;
  return {[](const Config& config, size_t port) { return ToValue(PartOf<Part>(config, port).*kMember); },
          [](Config& config, size_t port, const KeyValue& value) {
            FromValue(value, PartOf<Part>(config, port).*kMember);
          }};
}

// The same for a member of one of the lists.
template <auto kList, auto kMember>
constexpr KeyMember AtList() {
  return {[](const Config& config, size_t /*port*/) { return ToValue(config.*kList.*kMember); },
          [](Config& config, size_t /*port*/, const KeyValue& value) { FromValue(value, config.*kList.*kMember); }};
}

// The same for an enumeration, by its words.
template <auto kMember, const auto& kWords>
constexpr KeyMember AtWord() {
  using Part = typename MemberOf<kMember>::Part;
  static_assert(std::is_same_v<typename MemberOf<kMember>::Type, std::remove_const_t<decltype(kWords[0].value)>>);
  return {[](const Config& config, size_t port) -> KeyValue {
            const auto* found = std::find_if(std::begin(kWords), std::end(kWords), [&](const auto& word) {
              return word.value == PartOf<Part>(config, port).*kMember;
            });
            assert(found != std::end(kWords));
            return found->word;
          },
          [](Config& config, size_t port, const KeyValue& value) {
            const auto* found = std::find_if(std::begin(kWords), std::end(kWords), [&](const auto& word) {
              return std::get<std::string>(value) == word.word;
            });
            assert(found != std::end(kWords));
            PartOf<Part>(config, port).*kMember = found->value;
          }};
}

constexpr TableSpec kTables[] = {
    {"port", true, "A network device that the function uses; one to four of them, in the order of their tables."},
    {"dataplane", false, "The handling of packets."},
    {"function", false, "The network function, with keys of its own behind type. Required."},
    {"metrics", false, "Prometheus."},
    {"blocklist", false,
     "Sources whose packets are dropped before any rule. The file has a prefix, an address or a range a line; # and ; "
     "begin comments. It is read at the start, and at each `sluicectl config apply` and SIGHUP; what `sluicectl "
     "blocklist` changes stays until then."},
    {"allowlist", false, "Sources that the blocklist does not block."},
    {"rule", true,
     "Selects the packets that the function gets. Rules are tried in the order of the file; the first that matches "
     "decides. Packets for the guest's own addresses, and ARP and ND for them, go to the kernel unless a rule says "
     "otherwise."},
};

constexpr KeySpec kKeys[] = {
    {.table = "port",
     .key = "name",
     .type = TextType{IsPortName, "1 to 32 letters, digits, '-' and '_'"},
     .required = "a name of your own, such as \"wan\"",
     .change = ChangeBy::Restart(),
     .help = "The port's name in sluicectl and in rules.",
     .member = At<&PortConfig::name>()},
    {.table = "port",
     .key = "netdev",
     .type = TextType{IsNetdevName, "a network device's name, 1 to 15 characters without spaces, '/', ':' and '%'"},
     .required = "a network device's name, such as \"eth0\"",
     .change = ChangeBy::Restart(),
     .help = "The guest's interface.",
     .member = At<&PortConfig::netdev>()},
    {.table = "port",
     .key = "on_dataplane_down",
     .type = WordType{WordsOf<kOnDataplaneDownWords>},
     .change = ChangeBy::Live(ConfigStep::kDownPolicies),
     .help = "The fate of the port's packets while no dataplane runs.",
     .member = AtWord<&PortConfig::on_dataplane_down, kOnDataplaneDownWords>()},
    {.table = "dataplane",
     .key = "queue_pairs",
     .type = IntegerOrWordType{1, kMaxPairLanes, kAutoPairs},
     .change = ChangeBy::Live(ConfigStep::kQueuePairs),
     .help = "Queue pairs of every port, at most as many as the device has; `sluicectl queues set` changes them, too. "
             "With \"auto\" they follow the load, and `sluicectl status` says why there are so many.",
     .member = At<&DataplaneConfig::queue_pairs>()},
    {.table = "dataplane",
     .key = "queue_pairs_min",
     .type = IntegerType{1, kMaxPairLanes},
     .change = ChangeBy::Live(ConfigStep::kQueuePairs),
     .help = "With queue_pairs = \"auto\": never fewer.",
     .member = At<&DataplaneConfig::queue_pairs_min>()},
    {.table = "dataplane",
     .key = "queue_pairs_max",
     .type = IntegerType{1, kMaxPairLanes},
     .unset = "as many as the device has",
     .change = ChangeBy::Live(ConfigStep::kQueuePairs),
     .help = "With queue_pairs = \"auto\": never more. In any case no more than there are cores for workers.",
     .member = At<&DataplaneConfig::queue_pairs_max>()},
    {.table = "dataplane",
     .key = "mode",
     .type = WordType{WordsOf<kModeWords>},
     .change = ChangeBy::Restart(),
     .help = "The way in which packets come into the dataplane's memory.",
     .member = AtWord<&DataplaneConfig::mode, kModeWords>()},
    {.table = "dataplane",
     .key = "cores",
     .type = CpuListType{kMaxCpu},
     .unset = "every CPU",
     .change = ChangeBy::Live(ConfigStep::kPlacement),
     .help = "CPUs that workers may use.",
     .member = At<&DataplaneConfig::cores>()},
    {.table = "dataplane",
     .key = "workers",
     .type = IntegerType{1, kMaxWorkers},
     .unset = "one for each queue pair",
     .change = ChangeBy::Live(ConfigStep::kPlacement),
     .help = "Threads that handle packets, each on a core of its own. By default never more than there are cores.",
     .member = At<&DataplaneConfig::workers>()},
    {.table = "dataplane",
     .key = "poll",
     .type = WordType{WordsOf<kPollWords>},
     .change = ChangeBy::Restart(),
     .help = "The behaviour of a worker while there are no packets.",
     .member = AtWord<&DataplaneConfig::poll, kPollWords>()},
    {.table = "dataplane",
     .key = "offload",
     .type = WordType{WordsOf<kOffloadWords>},
     .change = ChangeBy::Restart(),
     .help = "Lets XDP send on the packets of offloaded flows. `sluicectl status` says why when it does not.",
     .member = AtWord<&DataplaneConfig::offload, kOffloadWords>()},
    {.table = "dataplane",
     .key = "offload_flows",
     .type = IntegerType{1024, 1 << 24, /*round_up=*/true},
     .change = ChangeBy::Restart(),
     .help = "Flows of each port that XDP can know, rounded up to a power of two. 192 bytes each.",
     .member = At<&DataplaneConfig::offload_flows>()},
    {.table = "function",
     .key = "type",
     .type = WordType{FunctionWords},
     .required = "",
     .change = ChangeBy::Restart(),
     .help = "The function that handles the packets.",
     .member = At<&FunctionConfig::type>()},
    {.table = "metrics",
     .key = "listen",
     .type = TextType{IsListen, "\"off\", or an IP address and a port, such as \"127.0.0.1:9477\" or \"[::1]:9477\""},
     .unset = "127.0.0.1:9477, if it can be had",
     .change = ChangeBy::Live(ConfigStep::kMetrics),
     .help = "The address at which Prometheus fetches /metrics.",
     .member = At<&Config::metrics>()},
    {.table = "blocklist",
     .key = "file",
     .type = TextType{IsPath, kPathWords},
     .unset = "none",
     .change = ChangeBy::Live(ConfigStep::kLists),
     .help = "The list's file. A list that blocks everything, or an address of this machine, a gateway or a nameserver "
             "that is not on the allow-list, is refused.",
     .member = AtList<&Config::blocklist, &ListConfig::file>()},
    {.table = "blocklist",
     .key = "min_entries",
     .type = IntegerType{0, kMaxListedPrefixes},
     .change = ChangeBy::Live(ConfigStep::kLists),
     .help = "A file of fewer entries is refused: it may be a download that was cut off. With 0 it may be empty.",
     .member = AtList<&Config::blocklist, &ListConfig::min_entries>()},
    {.table = "allowlist",
     .key = "file",
     .type = TextType{IsPath, kPathWords},
     .unset = "none",
     .change = ChangeBy::Live(ConfigStep::kLists),
     .help = "The list's file.",
     .member = AtList<&Config::allowlist, &ListConfig::file>()},
    {.table = "allowlist",
     .key = "min_entries",
     .type = IntegerType{0, kMaxListedPrefixes},
     .change = ChangeBy::Live(ConfigStep::kLists),
     .help = "A file of fewer entries is refused.",
     .member = AtList<&Config::allowlist, &ListConfig::min_entries>()},
};

template <typename... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

}  // namespace

absl::Span<const TableSpec> AllTables() {
  return kTables;
}

absl::Span<const KeySpec> AllKeys() {
  return kKeys;
}

const TableSpec& FindTable(const std::string& name) {
  const auto* found =
      std::find_if(std::begin(kTables), std::end(kTables), [&](const TableSpec& table) { return name == table.name; });
  assert(found != std::end(kTables));
  return *found;
}

const KeySpec& FindKey(const std::string& table, const std::string& key) {
  const auto* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [&](const KeySpec& spec) { return table == spec.table && key == spec.key; });
  assert(found != std::end(kKeys));
  return *found;
}

std::string AllowedText(const KeyType& type) {
  return std::visit(
      Overloaded{
          [](const IntegerType& integer) { return absl::StrCat("an integer ", integer.least, "..", integer.most); },
          [](const IntegerOrWordType& either) {
            return absl::StrCat("an integer ", either.least, "..", either.most, ", or \"", either.word, "\"");
          },
          [](const CpuListType& list) { return absl::StrCat("a list of different integers 0..", list.most); },
          [](const WordType& one) {
            return absl::StrJoin(one.words(), ", ",
                                 [](std::string* out, const KeyWord& word) { out->append(word.word); });
          },
          [](const TextType& text) { return std::string(text.allowed); }},
      type);
}

bool AllowsText(const KeyType& type, const std::string& text) {
  if (const auto* free = std::get_if<TextType>(&type); free != nullptr) {
    return free->allows(text);
  }
  if (const auto* one = std::get_if<WordType>(&type); one != nullptr) {
    const std::vector<KeyWord> words = one->words();
    return std::any_of(words.begin(), words.end(), [&](const KeyWord& word) { return text == word.word; });
  }
  const auto* either = std::get_if<IntegerOrWordType>(&type);
  return either != nullptr && text == either->word;
}

std::string ValueText(const KeySpec& key, const KeyValue& value) {
  return std::visit(
      Overloaded{
          [&](std::monostate) {
            assert(key.unset != nullptr);
            return std::string(key.unset);
          },
          [](uint32_t number) { return absl::StrCat(number); }, [](const std::string& text) { return text; },
          [](const std::vector<uint32_t>& numbers) { return absl::StrCat("[", absl::StrJoin(numbers, ", "), "]"); }},
      value);
}

std::string DefaultText(const KeySpec& key) {
  if (key.required != nullptr) {
    return "";
  }
  Config config;
  config.ports.emplace_back();
  return ValueText(key, key.member.get(config, 0));
}

}  // namespace sluice
