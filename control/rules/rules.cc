#include "control/rules/rules.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "control/rules/number.h"
#include "control/rules/prefix.h"

namespace sluice {
namespace {

constexpr uint32_t kEthertypeIpv4 = 0x0800;
constexpr uint32_t kEthertypeArp = 0x0806;
constexpr uint32_t kEthertypeIpv6 = 0x86dd;
constexpr uint32_t kEthertypeVlan = 0x8100;        // 802.1Q
constexpr uint32_t kEthertypeServiceTag = 0x88a8;  // 802.1ad
constexpr uint32_t kFirstEthertype = 0x0600;       // below it the field is a length (IEEE 802.3)
constexpr uint32_t kLastVlan = 4094;               // 4095 is reserved (IEEE 802.1Q)
constexpr uint32_t kLastPort = 65535;

struct Name {
  const char* text;
  uint32_t value;
};

constexpr Name kProtocols[] = {{"tcp", IPPROTO_TCP},
                               {"udp", IPPROTO_UDP},
                               {"icmp", IPPROTO_ICMP},
                               {"icmpv6", IPPROTO_ICMPV6},
                               {"sctp", IPPROTO_SCTP}};
constexpr Name kEthertypes[] = {{"ipv4", kEthertypeIpv4}, {"ipv6", kEthertypeIpv6}, {"arp", kEthertypeArp}};
constexpr Name kActions[] = {
    {"dataplane", SLUICE_ACTION_DATAPLANE}, {"pass", SLUICE_ACTION_PASS}, {"drop", SLUICE_ACTION_DROP}};

std::optional<uint32_t> Find(absl::Span<const Name> names, const std::string& text) {
  for (const Name& name : names) {
    if (text == name.text) {
      return name.value;
    }
  }
  return std::nullopt;
}

std::string Listed(absl::Span<const Name> names) {
  return absl::StrJoin(names, ", ", [](std::string* out, const Name& name) { out->append(name.text); });
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

// One rule under compilation.
class Compiler {
 public:
  Compiler(const RuleFields& fields, SteeringRule& rule) : fields_(fields), rule_(rule) {}

  std::vector<RuleProblem> Run() {
    rule_ = {};
    RefuseUnknownFields();
    Action();
    Ethertype();
    Vlan();
    Proto();
    Addresses();
    Ports();
    if (problems_.empty()) {
      RefuseContradictions();
    }
    return std::move(problems_);
  }

 private:
  const std::string* Get(const char* field) const {
    const auto it = fields_.find(field);
    return it == fields_.end() ? nullptr : &it->second;
  }
  void Problem(const std::string& field, const std::string& text) { problems_.push_back({field, text}); }
  bool Matches(uint32_t bits) const { return (rule_.match & bits) != 0; }
  bool HasProto(uint8_t proto) const { return Matches(SLUICE_MATCH_PROTO) && rule_.proto == proto; }

  void RefuseUnknownFields() {
    const absl::Span<const char* const> known = RuleFieldNames();
    for (const auto& [field, value] : fields_) {
      if (std::find(known.begin(), known.end(), field) == known.end()) {
        Problem(field, absl::StrCat("unknown key; allowed: ", absl::StrJoin(known, ", ")));
      }
    }
  }

  void Action() {
    const std::string* text = Get("action");
    if (text == nullptr) {
      Problem("action", absl::StrCat("missing; allowed: ", Listed(kActions)));
      return;
    }
    const std::optional<uint32_t> action = Find(kActions, *text);
    if (!action.has_value()) {
      Problem("action", absl::StrCat("'", *text, "' is not allowed; allowed: ", Listed(kActions)));
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
      Problem("ethertype", absl::StrCat("'", *text, "' is not allowed; allowed: ", Listed(kEthertypes),
                                        ", or a number 0x0600..0xffff"));
    } else if (*type == kEthertypeVlan || *type == kEthertypeServiceTag) {
      Problem("ethertype",
              absl::StrCat("'", *text, "' is a VLAN tag's; the ethertype behind all tags is compared: use vlan"));
    } else {
      rule_.match |= SLUICE_MATCH_ETHERTYPE;
      rule_.ethertype_be = htons(static_cast<uint16_t>(*type));
    }
  }

  void Vlan() {
    const std::string* text = Get("vlan");
    if (text == nullptr) {
      return;
    }
    const std::optional<uint32_t> vlan = ParseNumberUpTo(*text, kLastVlan);
    if (!vlan.has_value()) {
      Problem("vlan", absl::StrCat("'", *text, "' is not allowed; allowed: a number 0..", kLastVlan));
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
      Problem("proto",
              absl::StrCat("'", *text, "' is not allowed; allowed: ", Listed(kProtocols), ", or a number 0..255"));
      return;
    }
    rule_.match |= SLUICE_MATCH_PROTO;
    rule_.proto = static_cast<uint8_t>(*proto);
  }

  void Addresses() {
    const std::optional<Prefix> src = Address("src", SLUICE_MATCH_SRC, rule_.src_be, rule_.src_mask_be);
    const std::optional<Prefix> dst = Address("dst", SLUICE_MATCH_DST, rule_.dst_be, rule_.dst_mask_be);
    if (src.has_value() && dst.has_value() && src->family != dst->family) {
      Problem("dst", absl::StrCat("an IPv", int{dst->family}, " prefix beside an IPv", int{src->family},
                                  " one in src; both must be of one family"));
      return;
    }
    if (src.has_value() || dst.has_value()) {
      rule_.family = src.has_value() ? src->family : dst->family;
    }
  }

  std::optional<Prefix> Address(const char* field, uint32_t match, __be32 (&address)[4], __be32 (&mask)[4]) {
    const std::string* text = Get(field);
    if (text == nullptr) {
      return std::nullopt;
    }
    Prefix prefix;
    if (const std::string problem = ParsePrefix(*text, prefix); !problem.empty()) {
      Problem(field, problem);
      return std::nullopt;
    }
    rule_.match |= match;
    static_assert(sizeof(address) == sizeof(prefix.address));
    memcpy(address, prefix.address.data(), sizeof(address));
    memcpy(mask, prefix.mask.data(), sizeof(mask));
    return prefix;
  }

  void Ports() {
    Port("src_port", SLUICE_MATCH_SRC_PORT, rule_.src_port_first, rule_.src_port_last);
    Port("dst_port", SLUICE_MATCH_DST_PORT, rule_.dst_port_first, rule_.dst_port_last);
  }

  void Port(const char* field, uint32_t match, __u16& first, __u16& last) {
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

  // A rule that no packet can match is a mistake, not a wish.
  void RefuseContradictions() {
    for (const char* field : {"src_port", "dst_port"}) {
      if (Get(field) != nullptr && !HasProto(IPPROTO_TCP) && !HasProto(IPPROTO_UDP) && !HasProto(IPPROTO_SCTP)) {
        Problem(field, "only packets of a protocol with ports have one; proto must be tcp, udp or sctp");
      }
    }
    const uint8_t wanted_family = rule_.family;
    if (wanted_family == 6 && HasProto(IPPROTO_ICMP)) {
      Problem("proto", "icmp is IPv4's, the addresses are IPv6; use icmpv6");
    }
    if (wanted_family == 4 && HasProto(IPPROTO_ICMPV6)) {
      Problem("proto", "icmpv6 is IPv6's, the addresses are IPv4; use icmp");
    }
    if (!Matches(SLUICE_MATCH_ETHERTYPE)) {
      return;
    }
    const uint32_t type = ntohs(rule_.ethertype_be);
    const bool ip = type == kEthertypeIpv4 || type == kEthertypeIpv6;
    if (!ip && (wanted_family != 0 || Matches(SLUICE_MATCH_PROTO))) {
      Problem("ethertype", absl::StrCat("'", *Get("ethertype"),
                                        "' packets have no proto, src or dst; with those it must be ipv4 or ipv6"));
    }
    if ((type == kEthertypeIpv4 && wanted_family == 6) || (type == kEthertypeIpv6 && wanted_family == 4)) {
      Problem("ethertype", absl::StrCat("the addresses are IPv", int{wanted_family}, ", so it must be ipv",
                                        int{wanted_family}, " or left out"));
    }
    if ((type == kEthertypeIpv4 && HasProto(IPPROTO_ICMPV6)) || (type == kEthertypeIpv6 && HasProto(IPPROTO_ICMP))) {
      Problem("ethertype", absl::StrCat("proto is the other family's; with ", *Get("proto"), " it must be ",
                                        type == kEthertypeIpv4 ? "ipv6" : "ipv4", " or left out"));
    }
  }

  const RuleFields& fields_;
  SteeringRule& rule_;
  std::vector<RuleProblem> problems_;
};

}  // namespace

absl::Span<const char* const> RuleFieldNames() {
  static constexpr const char* kNames[] = {"proto", "src",       "dst",     "src_port", "dst_port",
                                           "vlan",  "ethertype", "in_port", "action"};
  return kNames;
}

absl::Span<const char* const> MatchFieldNames() {
  const absl::Span<const char* const> all = RuleFieldNames();
  return all.first(all.size() - 1);
}

std::string MatchText(const RuleFields& fields) {
  std::vector<std::string> matches;
  for (const char* name : MatchFieldNames()) {
    const auto field = fields.find(name);
    if (field != fields.end()) {
      matches.push_back(absl::StrCat(name, "=", field->second));
    }
  }
  return matches.empty() ? "everything" : absl::StrJoin(matches, " ");
}

std::vector<RuleProblem> CompileRule(const RuleFields& fields, SteeringRule& rule) {
  return Compiler(fields, rule).Run();
}

std::vector<RuleProblem> MakeRuleConfig(const RuleFields& fields, absl::Span<const std::string> port_names,
                                        RuleConfig& rule) {
  rule.fields = fields;
  std::vector<RuleProblem> problems = CompileRule(fields, rule.rule);
  if (const auto in_port = fields.find("in_port"); in_port != fields.end()) {
    rule.in_port = in_port->second;
    if (std::find(port_names.begin(), port_names.end(), rule.in_port) == port_names.end()) {
      problems.push_back(
          {"in_port", absl::StrCat("'", rule.in_port, "' is no port; allowed: ", absl::StrJoin(port_names, ", "))});
    }
  }
  return problems;
}

}  // namespace sluice
