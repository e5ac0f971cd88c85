#include "control/rules/rule.h"

#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "bpf/header_numbers.h"

namespace sluice {
namespace {

constexpr uint32_t kFirstEthertype = 0x0600;  // below it the field is a length (IEEE 802.3)
constexpr uint32_t kLastVlan = 4094;          // 4095 is reserved (IEEE 802.1Q)
constexpr uint32_t kLastPort = 65535;

constexpr RuleWord kProtocols[] = {{"tcp", IPPROTO_TCP, ""},
                                   {"udp", IPPROTO_UDP, ""},
                                   {"icmp", IPPROTO_ICMP, ""},
                                   {"icmpv6", IPPROTO_ICMPV6, ""},
                                   {"sctp", IPPROTO_SCTP, ""}};
constexpr RuleWord kEthertypes[] = {
    {"ipv4", SLUICE_ETHERTYPE_IPV4, ""}, {"ipv6", SLUICE_ETHERTYPE_IPV6, ""}, {"arp", SLUICE_ETHERTYPE_ARP, ""}};
constexpr RuleWord kActions[] = {{"dataplane", SLUICE_ACTION_DATAPLANE, "to the network function"},
                                 {"pass", SLUICE_ACTION_PASS, "to the kernel"},
                                 {"both", SLUICE_ACTION_BOTH, "to the function, and a copy to the kernel"},
                                 {"drop", SLUICE_ACTION_DROP, "nowhere, counted"}};

// The words of Open vSwitch's ip_frag (ovs-fields(7)). A value is a range of enum sluice_fragment.
constexpr uint32_t FragmentRange(uint32_t first, uint32_t last) {
  return first << 8 | last;
}
constexpr RuleWord kFragments[] = {
    {"no", FragmentRange(SLUICE_FRAGMENT_NO, SLUICE_FRAGMENT_NO), "whole packets"},
    {"yes", FragmentRange(SLUICE_FRAGMENT_FIRST, SLUICE_FRAGMENT_LATER), "all fragments"},
    {"first", FragmentRange(SLUICE_FRAGMENT_FIRST, SLUICE_FRAGMENT_FIRST), "first fragments, which have the ports"},
    {"later", FragmentRange(SLUICE_FRAGMENT_LATER, SLUICE_FRAGMENT_LATER), "all fragments but the first"},
    {"not_later", FragmentRange(SLUICE_FRAGMENT_NO, SLUICE_FRAGMENT_FIRST), "whole packets and first fragments"}};

constexpr const char* kAnything = "anything";
constexpr const char* kPortRange = "a number 0..65535 or \"FIRST-LAST\"";
constexpr const char* kPrefix = "an address or prefix, such as \"10.0.0.0/8\" or \"2001:db8::1\"";
constexpr const char* kWithPorts = "Only allowed with proto tcp, udp or sctp.";

constexpr RuleField kFields[] = {
    {"proto", kProtocols, "a number 0..255", kAnything, "The IP protocol."},
    {"src", {}, kPrefix, kAnything, "The source address."},
    {"dst", {}, kPrefix, kAnything, "The destination address."},
    {"src_port", {}, kPortRange, kAnything, kWithPorts},
    {"dst_port", {}, kPortRange, kAnything, kWithPorts},
    {"fragment", kFragments, "", kAnything,
     "Fragments have one protocol and one pair of addresses; the ports are in the first."},
    {"vlan", {}, "a number 0..4094", kAnything, "The id of the outermost VLAN tag, priority tags apart."},
    {"ethertype", kEthertypes, "a number 0x0600..0xffff", kAnything, "The ethertype behind all VLAN tags."},
    {"in_port", {}, "a port's name", "every port", "The only port that gets the rule."},
    {"action", kActions, "", "", "The fate of the packets that match all other keys of the rule."},
};

std::optional<uint32_t> Find(absl::Span<const RuleWord> words, const std::string& text) {
  for (const RuleWord& word : words) {
    if (text == word.word) {
      return word.value;
    }
  }
  return std::nullopt;
}

struct PortRange {
  uint16_t first = 0;
  uint16_t last = 0;
};

std::optional<PortRange> ParsePorts(const std::string& text) {
  const size_t dash = text.find('-');
  const std::optional<uint32_t> first = ParseNumberUpTo(text.substr(0, dash), kLastPort);
  const std::optional<uint32_t> last =
      dash == std::string::npos ? first : ParseNumberUpTo(text.substr(dash + 1), kLastPort);
  if (!first.has_value() || !last.has_value() || *first > *last) {
    return std::nullopt;
  }
  return PortRange{static_cast<uint16_t>(*first), static_cast<uint16_t>(*last)};
}

class Compiler {
 public:
  Compiler(const RuleFields& fields, absl::Span<const std::string> port_names, RuleConfig& rule)
      : fields_(fields), port_names_(port_names), rule_(rule) {}

  std::vector<RuleProblem> Run() {
    rule_ = {};
    rule_.fields = fields_;
    RefuseUnknownFields();
    Action();
    Ethertype();
    Vlan();
    Proto();
    Addresses();
    Ports();
    Fragment();
    if (problems_.empty()) {
      RefuseContradictions();
    }
    InPort();
    return std::move(problems_);
  }

 private:
  const std::string* Get(const char* field) const {
    const auto it = fields_.find(field);
    return it == fields_.end() ? nullptr : &it->second;
  }
  void Problem(const std::string& field, const std::string& text) { problems_.push_back({field, text}); }
  void NotAllowed(absl::string_view field, const std::string& text) {
    const RuleField* known =
        std::find_if(std::begin(kFields), std::end(kFields), [&](const RuleField& one) { return field == one.name; });
    Problem(known->name, absl::StrCat("'", text, "' is not allowed; allowed: ", AllowedText(*known)));
  }
  bool Matches(uint32_t bits) const { return (rule_.match & bits) != 0; }
  bool HasProto(uint8_t proto) const { return Matches(SLUICE_MATCH_PROTO) && rule_.proto == proto; }

  void RefuseUnknownFields() {
    for (const auto& [name, value] : fields_) {
      const std::string& unknown = name;
      if (std::none_of(std::begin(kFields), std::end(kFields),
                       [&](const RuleField& field) { return unknown == field.name; })) {
        Problem(name, absl::StrCat("unknown key; allowed: ",
                                   absl::StrJoin(kFields, ", ", [](std::string* out, const RuleField& field) {
                                     out->append(field.name);
                                   })));
      }
    }
  }

  void Action() {
    const std::string* text = Get("action");
    if (text == nullptr) {
      Problem("action", absl::StrCat("missing; allowed: ", AllowedText(ActionField())));
      return;
    }
    const std::optional<uint32_t> action = Find(kActions, *text);
    if (!action.has_value()) {
      NotAllowed("action", *text);
      return;
    }
    rule_.action = *action;
  }

  void Ethertype() {
    const std::string* text = Get("ethertype");
    if (text == nullptr) {
      return;
    }
    std::optional<uint32_t> type = Find(kEthertypes, *text);
    if (!type.has_value()) {
      type = ParseNumberUpTo(*text, 0xffff);
    }
    if (!type.has_value() || *type < kFirstEthertype) {
      NotAllowed("ethertype", *text);
    } else if (sluice_is_tag(static_cast<uint16_t>(*type)) != 0) {
      Problem("ethertype",
              absl::StrCat("'", *text, "' is a VLAN tag's; the ethertype behind all tags is compared: use vlan"));
    } else {
      rule_.match |= SLUICE_MATCH_ETHERTYPE;
      rule_.ethertype = static_cast<uint16_t>(*type);
    }
  }

  void Vlan() {
    const std::string* text = Get("vlan");
    if (text == nullptr) {
      return;
    }
    const std::optional<uint32_t> vlan = ParseNumberUpTo(*text, kLastVlan);
    if (!vlan.has_value()) {
      NotAllowed("vlan", *text);
      return;
    }
    rule_.match |= SLUICE_MATCH_VLAN;
    rule_.vlan = static_cast<uint16_t>(*vlan);
  }

  void Proto() {
    const std::string* text = Get("proto");
    if (text == nullptr) {
      return;
    }
    std::optional<uint32_t> proto = Find(kProtocols, *text);
    if (!proto.has_value()) {
      proto = ParseNumberUpTo(*text, 255);
    }
    if (!proto.has_value()) {
      NotAllowed("proto", *text);
      return;
    }
    rule_.match |= SLUICE_MATCH_PROTO;
    rule_.proto = static_cast<uint8_t>(*proto);
  }

  void Addresses() {
    const bool has_src = Address("src", SLUICE_MATCH_SRC, rule_.src);
    const bool has_dst = Address("dst", SLUICE_MATCH_DST, rule_.dst);
    if (has_src && has_dst && rule_.src.family != rule_.dst.family) {
      Problem("dst", absl::StrCat("an IPv", int{rule_.dst.family}, " prefix beside an IPv", int{rule_.src.family},
                                  " one in src; both must be of one family"));
    }
  }

  bool Address(const char* field, uint32_t match, Prefix& prefix) {
    const std::string* text = Get(field);
    if (text == nullptr) {
      return false;
    }
    if (const std::string problem = ParsePrefix(*text, prefix); !problem.empty()) {
      Problem(field, problem);
      return false;
    }
    rule_.match |= match;
    return true;
  }

  void Ports() {
    Port("src_port", SLUICE_MATCH_SRC_PORT, rule_.src_port_first, rule_.src_port_last);
    Port("dst_port", SLUICE_MATCH_DST_PORT, rule_.dst_port_first, rule_.dst_port_last);
  }

  void Port(const char* field, uint32_t match, uint16_t& first, uint16_t& last) {
    const std::string* text = Get(field);
    if (text == nullptr) {
      return;
    }
    const std::optional<PortRange> range = ParsePorts(*text);
    if (!range.has_value()) {
      Problem(field, absl::StrCat("'", *text, "' is not allowed; allowed: a number 0..", kLastPort, " or FIRST-LAST"));
      return;
    }
    rule_.match |= match;
    first = range->first;
    last = range->last;
  }

  void Fragment() {
    const std::string* text = Get("fragment");
    if (text == nullptr) {
      return;
    }
    const std::optional<uint32_t> range = Find(kFragments, *text);
    if (!range.has_value()) {
      NotAllowed("fragment", *text);
      return;
    }
    rule_.match |= SLUICE_MATCH_FRAGMENT;
    rule_.fragment_first = static_cast<uint8_t>(*range >> 8);
    rule_.fragment_last = static_cast<uint8_t>(*range);
  }

  void InPort() {
    const std::string* text = Get("in_port");
    if (text == nullptr) {
      return;
    }
    rule_.in_port = *text;
    if (std::find(port_names_.begin(), port_names_.end(), *text) == port_names_.end()) {
      Problem("in_port", absl::StrCat("'", *text, "' is no port; allowed: ", absl::StrJoin(port_names_, ", ")));
    }
  }

  // No packet can match such a rule, so its author made a mistake.
  void RefuseContradictions() {
    for (const char* field : {"src_port", "dst_port"}) {
      if (Get(field) != nullptr && !HasProto(IPPROTO_TCP) && !HasProto(IPPROTO_UDP) && !HasProto(IPPROTO_SCTP)) {
        Problem(field, "only packets of a protocol with ports have one; proto must be tcp, udp or sctp");
      } else if (Get(field) != nullptr && Matches(SLUICE_MATCH_FRAGMENT) &&
                 rule_.fragment_first == SLUICE_FRAGMENT_LATER) {
        Problem(field, "later fragments have no ports; leave this field out, or fragment");
      }
    }
    const uint8_t family = Matches(SLUICE_MATCH_SRC) ? rule_.src.family : rule_.dst.family;  // 0: no address is named
    if (family == 6 && HasProto(IPPROTO_ICMP)) {
      Problem("proto", "icmp is IPv4's, the addresses are IPv6; use icmpv6");
    }
    if (family == 4 && HasProto(IPPROTO_ICMPV6)) {
      Problem("proto", "icmpv6 is IPv6's, the addresses are IPv4; use icmp");
    }
    if (!Matches(SLUICE_MATCH_ETHERTYPE)) {
      return;
    }
    const uint32_t type = rule_.ethertype;
    const bool ip = type == SLUICE_ETHERTYPE_IPV4 || type == SLUICE_ETHERTYPE_IPV6;
    if (!ip && (family != 0 || Matches(SLUICE_MATCH_PROTO | SLUICE_MATCH_FRAGMENT))) {
      Problem("ethertype",
              absl::StrCat("'", *Get("ethertype"),
                           "' packets have no proto, src, dst or fragment; with those it must be ipv4 or ipv6"));
    }
    if ((type == SLUICE_ETHERTYPE_IPV4 && family == 6) || (type == SLUICE_ETHERTYPE_IPV6 && family == 4)) {
      Problem("ethertype",
              absl::StrCat("the addresses are IPv", int{family}, ", so it must be ipv", int{family}, " or left out"));
    }
    if ((type == SLUICE_ETHERTYPE_IPV4 && HasProto(IPPROTO_ICMPV6)) ||
        (type == SLUICE_ETHERTYPE_IPV6 && HasProto(IPPROTO_ICMP))) {
      Problem("ethertype", absl::StrCat("proto is the other family's; with ", *Get("proto"), " it must be ",
                                        type == SLUICE_ETHERTYPE_IPV4 ? "ipv6" : "ipv4", " or left out"));
    }
  }

  const RuleFields& fields_;
  absl::Span<const std::string> port_names_;
  RuleConfig& rule_;
  std::vector<RuleProblem> problems_;
};

}  // namespace

absl::Span<const RuleField> AllRuleFields() {
  return kFields;
}

absl::Span<const RuleField> MatchFields() {
  const absl::Span<const RuleField> all = AllRuleFields();
  return all.first(all.size() - 1);
}

const RuleField& ActionField() {
  return AllRuleFields().back();
}

std::string AllowedText(const RuleField& field) {
  const std::string words =
      absl::StrJoin(field.words, ", ", [](std::string* out, const RuleWord& word) { out->append(word.word); });
  return absl::StrCat(words, words.empty() || *field.values == '\0' ? "" : ", or ", field.values);
}

std::string MatchText(const RuleFields& fields) {
  std::vector<std::string> matches;
  for (const RuleField& known : MatchFields()) {
    const auto field = fields.find(known.name);
    if (field != fields.end()) {
      matches.push_back(absl::StrCat(known.name, "=", field->second));
    }
  }
  return matches.empty() ? "everything" : absl::StrJoin(matches, " ");
}

std::vector<RuleProblem> CompileRule(const RuleFields& fields, absl::Span<const std::string> port_names,
                                     RuleConfig& rule) {
  return Compiler(fields, port_names, rule).Run();
}

absl::StatusOr<RuleConfig> MakeRule(const RuleFields& fields, absl::Span<const std::string> port_names) {
  RuleConfig rule;
  std::vector<std::string> problems;
  for (const RuleProblem& problem : CompileRule(fields, port_names, rule)) {
    problems.push_back(absl::StrCat(problem.field, ": ", problem.text));
  }
  if (!problems.empty()) {
    return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  }
  return rule;
}

std::optional<uint32_t> ParseNumberUpTo(absl::string_view text, uint32_t max) {
  const bool hex = text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
  const char* first = text.data() + (hex ? 2 : 0);
  const char* last = text.data() + text.size();
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(first, last, value, hex ? 16 : 10);
  if (error != std::errc() || end != last || value > max) {
    return std::nullopt;
  }
  return value;
}

}  // namespace sluice
