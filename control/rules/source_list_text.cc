#include "control/rules/source_list_text.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <optional>

#include "absl/numeric/int128.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "control/rules/source_list.h"

namespace sluice {
namespace {

constexpr size_t kMaxLineBytes = 4096;
constexpr size_t kShownProblems = 20;
constexpr size_t kShownEntries = 3;

// Entries of one kind that were put right.
class Count {
 public:
  void Add(const std::string& entry, const Prefix& prefix) {
    if (++number_ <= kShownEntries) {
      shown_.push_back(absl::StrCat(absl::CHexEscape(entry), " as ", PrefixText(prefix)));
    }
  }
  void Tell(absl::string_view what, std::vector<std::string>& warnings) const {
    if (number_ > 0) {
      warnings.push_back(absl::StrCat(number_, number_ == 1 ? " entry " : " entries ", what,
                                      ", taken: ", absl::StrJoin(shown_, ", "), number_ > kShownEntries ? ", …" : ""));
    }
  }

 private:
  uint64_t number_ = 0;
  std::vector<std::string> shown_;
};

absl::uint128 NumberOf(const Prefix& prefix) {
  absl::uint128 number = 0;
  for (size_t i = 0; i < (prefix.family == 4 ? 4 : 16); ++i) {
    number = number << 8 | prefix.address[i];
  }
  return number;
}

Prefix PrefixOf(uint8_t family, uint32_t bits, absl::uint128 number) {
  Prefix prefix{family, bits, {}};
  for (size_t i = family == 4 ? 4 : 16; i-- > 0; number >>= 8) {
    prefix.address[i] = static_cast<uint8_t>(absl::Uint128Low64(number));
  }
  return prefix;
}

// Appends the fewest prefixes that make the range: at most two of each length.
void AppendRange(uint8_t family, absl::uint128 first, absl::uint128 last, std::vector<Prefix>& prefixes) {
  const uint32_t width = family == 4 ? 32 : 128;
  while (true) {
    uint32_t host_bits = 0;
    absl::uint128 below = 0;  // all host bits set
    while (host_bits < width) {
      const absl::uint128 wider = below << 1 | 1;
      if ((first & wider) != 0 || last - first < wider) {
        break;
      }
      below = wider;
      ++host_bits;
    }
    prefixes.push_back(PrefixOf(family, width - host_bits, first));
    if (first + below == last) {
      return;
    }
    first += below + 1;
  }
}

class Reader {
 public:
  // Returns the problem, or "".
  std::string Add(const std::string& entry) {
    ++list_.entries;
    if (list_.prefixes.size() >= kMaxListedPrefixes) {
      return absl::StrCat("more than ", kMaxListedPrefixes, " prefixes, which is the most that a list can have");
    }
    const size_t dash = entry.find('-');
    return dash == std::string::npos ? AddPrefix(entry) : AddRange(entry, dash);
  }

  // Adds a line of a file.
  std::string AddLine(absl::string_view line) {
    if (line.size() > kMaxLineBytes) {
      return absl::StrCat("a line of ", line.size(), " bytes, '", absl::CHexEscape(line.substr(0, 16)), "…'; at most ",
                          kMaxLineBytes, " are read. Is it a list, a prefix a line?");
    }
    line = absl::StripAsciiWhitespace(line);
    if (absl::StartsWith(line, "{")) {
      return AddJson(line);
    }
    line = absl::StripAsciiWhitespace(line.substr(0, line.find_first_of("#;")));
    return line.empty() ? "" : Add(std::string(line));
  }

  // Gives this line's number to every prefix that AddLine() has added since the last call.
  void NoteLine(uint32_t line) { list_.lines.resize(list_.prefixes.size(), line); }

  SourcePrefixes Take() {
    host_bits_.Tell("had bits beyond the prefix", list_.warnings);
    mapped_.Tell("had IPv4 written as IPv6", list_.warnings);
    return std::move(list_);
  }

 private:
  std::string AddPrefix(const std::string& entry) {
    Prefix prefix;
    PrefixNotes notes;
    if (std::string problem = ParseLoosePrefix(entry, prefix, notes); !problem.empty()) {
      return problem;
    }
    Note(entry, prefix, notes);
    list_.prefixes.push_back(prefix);
    return "";
  }

  std::string AddRange(const std::string& entry, size_t dash) {
    Prefix ends[2];
    PrefixNotes notes[2];
    const absl::string_view texts[] = {absl::string_view(entry).substr(0, dash),
                                       absl::string_view(entry).substr(dash + 1)};
    for (size_t end = 0; end < 2; ++end) {
      const std::string address(absl::StripAsciiWhitespace(texts[end]));
      if (absl::StrContains(address, "/") || !ParseLoosePrefix(address, ends[end], notes[end]).empty()) {
        return absl::StrCat("'", absl::CHexEscape(entry.substr(0, 80)),
                            "' is no range of two addresses, such as 192.0.2.3-192.0.2.9");
      }
    }
    if (ends[0].family != ends[1].family || NumberOf(ends[1]) < NumberOf(ends[0])) {
      return absl::StrCat("'", absl::CHexEscape(entry), "': the range ends before it begins");
    }
    if (notes[0].ipv4_mapped) {
      mapped_.Add(entry, ends[0]);
    }
    AppendRange(ends[0].family, NumberOf(ends[0]), NumberOf(ends[1]), list_.prefixes);
    return "";
  }

  std::string AddJson(absl::string_view line) {
    google::protobuf::Struct fields;
    if (!google::protobuf::util::JsonStringToMessage(std::string(line), &fields).ok()) {
      return absl::StrCat("'", absl::CHexEscape(line.substr(0, 60)), "…' is no JSON object");
    }
    const auto cidr = fields.fields().find("cidr");
    return cidr == fields.fields().end() ? "" : Add(cidr->second.string_value());
  }

  void Note(const std::string& entry, const Prefix& prefix, const PrefixNotes& notes) {
    if (notes.host_bits) {
      host_bits_.Add(entry, prefix);
    }
    if (notes.ipv4_mapped) {
      mapped_.Add(entry, prefix);
    }
  }

  SourcePrefixes list_;
  Count host_bits_, mapped_;
};

// Returns the problem of the text as a whole, or "".
std::string ProblemOfEncoding(absl::string_view text) {
  if (absl::StartsWith(text, "\xff\xfe") || absl::StartsWith(text, "\xfe\xff")) {
    return "is text in UTF-16; save it as UTF-8 or ASCII";
  }
  if (absl::StartsWith(text, "\x1f\x8b")) {
    return "is compressed by gzip; unpack it first";
  }
  return "";
}

class ProblemLines {
 public:
  void Add(std::string line) {
    if (lines_.size() < kShownProblems) {
      lines_.push_back(std::move(line));
    } else {
      ++unshown_;
    }
  }
  absl::Status ToStatus(absl::string_view source) {
    if (unshown_ > 0) {
      lines_.push_back(absl::StrCat(source, source.empty() ? "" : ": ", "and ", unshown_, " more"));
    }
    return lines_.empty() ? absl::OkStatus() : absl::InvalidArgumentError(absl::StrJoin(lines_, "\n"));
  }

 private:
  std::vector<std::string> lines_;
  size_t unshown_ = 0;
};

}  // namespace

absl::StatusOr<SourcePrefixes> ParseSourceList(absl::string_view text, absl::string_view source, Quotes quotes) {
  if (const std::string problem = ProblemOfEncoding(text); !problem.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(source, ": ", problem));
  }
  constexpr absl::string_view kByteOrderMark = "\xef\xbb\xbf";
  if (absl::StartsWith(text, kByteOrderMark)) {
    text.remove_prefix(kByteOrderMark.size());
  }
  Reader reader;
  ProblemLines problems;
  uint32_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    if (const std::string problem = reader.AddLine(line); !problem.empty()) {
      problems.Add(absl::StrCat(source, ":", number, ": ",
                                quotes == Quotes::kShown ? problem : "is no address, prefix or range"));
    }
    reader.NoteLine(number);
  }
  if (absl::Status s = problems.ToStatus(source); !s.ok()) {
    return s;
  }
  return reader.Take();
}

absl::StatusOr<SourcePrefixes> ParseSources(const std::vector<std::string>& entries) {
  Reader reader;
  ProblemLines problems;
  for (const std::string& entry : entries) {
    if (const std::string problem = reader.Add(entry); !problem.empty()) {
      problems.Add(problem);
    }
  }
  if (absl::Status s = problems.ToStatus(""); !s.ok()) {
    return s;
  }
  return reader.Take();
}

}  // namespace sluice
